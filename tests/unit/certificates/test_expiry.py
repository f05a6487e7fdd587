"""What is said about the end of a certificate, by a clock of the test's own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from nexus_cli.certificates.authority import Authority
from nexus_cli.certificates.expiry import Expiry, expiry_of
from tests.papers import NOW


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=31), ""),
        (timedelta(days=30), ""),
        (
            timedelta(days=29, hours=23),
            "the certificate server expires in 29 days, on 2026-03-31: nexus certs renew server",
        ),
        (
            timedelta(days=1, hours=3),
            "the certificate server expires in 1 day, on 2026-03-02: nexus certs renew server",
        ),
        (timedelta(hours=5), "the certificate server expires within a day, on 2026-03-01: nexus certs renew server"),
        (timedelta(0), "the certificate server expired on 2026-03-01: nexus certs renew server"),
        (timedelta(days=-9), "the certificate server expired on 2026-02-20: nexus certs renew server"),
    ],
)
def test_thirty_days_before_its_end(left: timedelta, said: str) -> None:
    one = Expiry(name="server", file="", not_after=NOW + left, hint="nexus certs renew server")
    assert one.doubt(NOW) == said
    assert one.seconds(NOW) == left.total_seconds()


def test_of_a_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=lambda: NOW)
    authority.init(name="ca", days=20)
    found = expiry_of(authority.ca_file, "ca")
    assert found is not None
    assert found.doubt(NOW) == "the certificate ca expires in 20 days, on 2026-03-21"
    assert expiry_of(tmp_path / "none.pem", "none") is None
    (tmp_path / "bad.pem").write_text("no certificate")
    assert expiry_of(tmp_path / "bad.pem", "bad") is None
