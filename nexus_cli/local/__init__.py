"""The runtime that `nexus up` starts on one machine: broker, PostgreSQL and the three roles under one supervisor."""
