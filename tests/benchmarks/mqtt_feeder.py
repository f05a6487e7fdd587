"""Publishes QoS 1 messages in a process of its own: python -m tests.benchmarks.mqtt_feeder PORT COUNT."""

from __future__ import annotations

import socket
import sys

from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session

WINDOW = 200
TOPICS = 40
PAYLOAD = b"y" * 300


def feed(port: int, count: int) -> None:
    """Return when the broker has acknowledged all of them."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(Options(client_id="feeder"), now_s=0.0)
        sock.sendall(session.take(0.0))
        sent = 0
        while sent < count or session.inflight:
            while session.accepted and sent < count and session.inflight < WINDOW:
                session.publish(f"feed/{sent % TOPICS}", PAYLOAD, token=sent)
                sent += 1
            if session.unsent:
                sock.sendall(session.take(0.0))
            session.receive(sock.recv(65_536), 0.0)


if __name__ == "__main__":
    feed(int(sys.argv[1]), int(sys.argv[2]))
