"""What the connections of a simulator share: the memory of its runtimes, and the faults that can be switched."""

from __future__ import annotations

from abc import ABC

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.plc import CONFIG, RUN
from nexus_cli.drivers.ads.simulator.memory import Image
from nexus_cli.drivers.simulation.server import StreamServer


class Station(StreamServer, ABC):
    """A computer with TwinCAT: one listener, and a runtime per AMS address.

    Attributes:
        images: Memory by AMS address.
        sums: False: no sum commands, as small devices have none.
        routes: AMS NetIds that have a route; None lets everybody in. Others are reset at their first frame.
        mute: Those without a route are left without an answer instead.
        most_notifications: More are refused.
        notification_error: With this code.
    """

    scheme = "ads"

    def __init__(self) -> None:
        super().__init__()
        self.sums = True
        self.routes: set[str] | None = None
        self.mute = False
        self.most_notifications, self.notification_error = 5_000, 1814
        self.images: dict[bytes, Image] = {}

    def system_state(self, net_id: bytes) -> int:
        """State of TwinCAT itself."""
        states = [image.state for address, image in self.images.items() if address[:6] == net_id]
        return CONFIG if CONFIG in states else RUN

    def welcome(self, source: bytes) -> bool:
        """Whether there is a route for this AMS address."""
        return self.routes is None or frame.address_text(source).partition(":")[0] in self.routes
