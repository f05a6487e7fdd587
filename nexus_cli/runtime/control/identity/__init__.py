"""Who calls control: logins, tokens, passwords and elevation, and the record of what was refused."""
