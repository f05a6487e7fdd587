"""How long control waits while it carries out a deployment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long control waits, in seconds.

    Attributes:
        lease_ttl_s: The lock is prolonged by this much with each heartbeat.
        leader_ttl_s: A control that leads and was not confirmed for so long acts no more.
        connect_s: Longest wait for the broker, and for a gateway that has to run, before a deployment is refused for it.
        observe_s: Longest wait for the answer of a gateway that has reported before.
        absent_s: Longest wait for the first report of any other.
        settle_s: A control that has been connected for so long has a report of every gateway that runs; until then it
            waits for a first one.
        verify_s: Longest wait for their verification after that.
        retry_s: Pause before a deployment is tried again after the database was away.
    """

    lease_ttl_s: float = 10.0
    leader_ttl_s: float = 6.0
    connect_s: float = 5.0
    observe_s: float = 20.0
    absent_s: float = 1.0
    settle_s: float = 30.0
    verify_s: float = 12.0
    retry_s: float = 1.0
