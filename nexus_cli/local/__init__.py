"""What `nexus up` starts on one machine: a broker, a PostgreSQL and the three roles, kept alive by one supervisor."""
