"""The door to PostgreSQL: tables, connections, COPY, series, deployments, queries, retention, migrations."""
