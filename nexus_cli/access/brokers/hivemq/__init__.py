"""HiveMQ: the file RBAC extension, in the Enterprise and in the community form."""
