"""NEXUS: Terraform for a factory's data.

The flow, one way down::

    sites/*.yaml -> source -> model -> checks -> plan -> apply -> control (desired state)
                                                                    |
    devices -> gateway: driver > normalise > outbox > publisher -> BROKER -> historian -> PostgreSQL

See docs/decisions/0001.
"""

__version__ = "0.1.0"
