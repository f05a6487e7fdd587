"""EMQX: `acl.conf`, the rules of its built-in database, and the `acl` claim of a JWT."""
