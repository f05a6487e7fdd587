"""`nexus mcp --http`: each client under its own token, and nobody without one."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import httpx
import pytest
import trustme

from nexus_cli.settings import Settings
from tests.integration.mcp_world import (
    READING,
    control_of,
    environment,
    names,
    over_http,
    plant,
    refusal,
    serving_http,
    structure,
)
from tests.integration.test_mcp import SITE_FILE

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY, VOLTAGE = "a/l/one/energy", "a/l/one/voltage"
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


async def test_two_callers_see_what_each_may(database: Settings, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE_FILE)
    async with plant(database, tmp_path) as web:
        await web.record({"role.half": {"read": [VOLTAGE], "write": []}, "user.hal": {"roles": ["half"]}})
        web.say(ENERGY, 4.5, unit="kWh")
        web.say(VOLTAGE, 231.0, unit="V")
        vera, hal, ada = [await web.people.token(user) for user in ("vera", "hal", "ada")]
        site, control = str(tmp_path / "site.yaml"), control_of(web)
        async with (
            serving_http(web.url, tmp_path / "mcp", site, control=control) as url,
            over_http(url, vera) as one,
            over_http(url, hal) as other,
            over_http(url, ada) as third,
        ):
            assert await names(one) == READING
            for _ in range(2):  # one after the other, over the same connections to web
                paths = [ENERGY, VOLTAGE]
                assert [each["value"] for each in (await structure(one, "read", paths=paths))["values"]] == [4.5, 231.0]
                seen = (await structure(other, "read", paths=paths))["values"]
                assert (seen[0]["problem"][:6], seen[1]["value"]) == ("NX6802", 231.0)
            assert (await structure(other, "find", text="energy"))["total"] == 0
            assert (await refusal(other, "history", path=ENERGY)).startswith("NX6802")
            assert (await structure(third, "validate"))["valid"]
            assert (await structure(third, "plan"))["site"] == "acme/chicago"
            for tool, given in (("validate", {}), ("plan", {}), ("drift", {}), ("simulate", {"device": "a/l/press"})):
                assert (await refusal(other, tool, **given)).startswith("NX6403: hal may not"), tool
            async with over_http(url, "no-such-token") as stranger:
                assert (await refusal(stranger, "find")).startswith("NX640")
                assert (await refusal(stranger, "plan")).startswith("NX640")
            await _strangers(url, vera)


async def _strangers(url: str, token: str) -> None:
    """What the protections refuse before a tool is reached."""
    head = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
    async with httpx.AsyncClient() as http:
        bare = {name: value for name, value in head.items() if name != "authorization"}
        refused = await http.post(url, json=HELLO, headers=bare)
        assert (refused.status_code, refused.json()["code"]) == (401, "NX6948")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        elsewhere = await http.post(url, json=HELLO, headers=head | {"host": "attacker.example"})
        assert elsewhere.status_code == 421
        page = await http.post(url, json=HELLO, headers=head | {"origin": "https://attacker.example"})
        assert page.status_code == 403
        large = await http.post(url, content=b" " * 300_000, headers=head | {"content-type": "application/json"})
        assert large.status_code == 413
        assert (
            await http.post(url, content=b"{", headers=head | {"content-type": "application/json"})
        ).status_code == 400


async def test_other_machines_need_tls(tmp_path: Path) -> None:
    for more, code in (
        (("--http", "0.0.0.0:0", "--allow-host", "plant.example"), b"NX6031"),
        (("--http", "0.0.0.0:0"), b"NX6949"),
        (("--http", "8765"), b"NX6949"),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nexus_cli", "mcp", *more),
            env=environment(tmp_path / "mcp"),
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert code in said and b"Traceback" not in said, said
        assert process.returncode == 64


async def test_with_a_certificate_it_serves_https(tmp_path: Path) -> None:
    authority, folder = trustme.CA(), tmp_path / "mcp"
    shown = authority.issue_cert("127.0.0.1", "plant.example")
    shown.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "shown.pem"))
    secured = {"NEXUS_HTTP_CERT": str(tmp_path / "shown.pem"), "NEXUS_HTTP_KEY": str(tmp_path / "shown.pem")}
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving_http("http://127.0.0.1:1", folder, "--allow-host", "plant.example", **secured) as url:
        secure = url.replace("http:", "https:")
        head = {"accept": "application/json, text/event-stream", "authorization": "Bearer any"}
        async with httpx.AsyncClient(verify=context) as http:
            for host, status in (("plant.example", 200), ("plant.example:443", 200), ("other.example", 421)):
                found = await http.post(secure, json=HELLO, headers=head | {"host": host})
                assert found.status_code == status, found.text
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.HTTPError):
                await http.post(url, json=HELLO, headers=head)
