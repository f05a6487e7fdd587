import asyncio, sys, json
import pytest
from tests.integration.i3x_world import *
from tests.integration.i3x_world import SPEED, DRIVE, ENERGY
pytestmark=[pytest.mark.needs_database]
async def test_smoke(database, tmp_path):
    async with i3x_world(database, tmp_path) as w:
        print(await w.ask("GET","/info",token=""))
        print((await w.ask("GET","/info",token="")).text)
        print((await w.ask("GET","/namespaces",token="")).text)
        print(json.dumps(await w.get("/objecttypes"))[:1500])
        for o in await w.get("/objects"): print(o)
        print(json.dumps(await w.get("/objects", includeMetadata="true"))[:1500])
        print(await w.value(DRIVE, maxDepth=0))
        print(await w.results("/objects/related",[SPEED,DRIVE,"a/l","a","site:acme/chicago"]))
        print(await w.results("/objects/history",[SPEED,DRIVE,"a/l","nix"], startTime="2026-01-01T00:00:00Z", endTime="2027-01-01T00:00:00Z"))
        r=await w.ask("PUT","/objects/value",{"updates":[{"elementId":SPEED,"value":{"value":3}},{"elementId":"nix","value":{"value":3}},{"elementId":DRIVE,"value":{"value":3}}]}); print(r.status_code,r.text)
        r=await w.ask("PUT","/objects/history",{"updates":[{"elementId":SPEED,"value":{"value":3,"quality":"Good","timestamp":"2026-12-01T22:00:00Z"}},{"elementId":SPEED,"value":{"value":4,"quality":"Good","timestamp":"2026-12-01T22:00:00Z"}},{"elementId":SPEED,"value":{"value":4,"quality":"Good","timestamp":"2026-12-01T22:00:00Z"}}]}); print(r.status_code,r.text)
        print(await w.results("/objects/history",[SPEED], startTime="2026-01-01T00:00:00Z", endTime="2027-01-01T00:00:00Z"))
        print(await w.web.people.trail("correct-history"))
        s=await w.subscribed(SPEED,DRIVE,ENERGY,"a/l")
        print(await w.sync(s))
        w.say(SPEED,12)
        print(await w.sync(s, 1))
        print(await w.sync(s, -1))
        print(await w.sync(s))
