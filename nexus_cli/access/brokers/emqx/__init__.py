"""EMQX 5.8 to 6.3.

| file | what it does |
|---|---|
| `acl_conf.py`, `shared_file.py` | grants → `acl.conf`; our block in a file of others |
| `rules.py`, `jwt.py` | grants → rules as JSON: built-in database, token |
| `users.py`, `hocon.py` | bootstrap users, configuration |
| `form.py` | file or database |
| `engine.py` | the reference model; below it `rule.py`, `who.py`, `topics.py`, `raw_rules.py`, `pattern.py`, `client.py` |
| `terms.py` | Erlang terms, read and written |
"""
