"""Who calls: logins, tokens, passwords and elevation, the rights behind them, and the record of what was refused."""
