"""Band 6, runtime: brokers, databases, devices."""

from nexus_cli.diagnostics.codes.code import Code
from nexus_cli.diagnostics.codes.local import LOCAL

BROKER: tuple[Code, ...] = (
    Code(
        id="NX6000",
        slug="outside-failed",
        summary="Something outside NEXUS failed.",
        why="A file, socket or service did not do what it was asked; the message names it.",
        good="look at the cause under the message",
    ),
    Code(
        id="NX6001",
        slug="settings-unreadable",
        summary="A settings or secret file can't be read.",
        why="Without it a role would start with the wrong identity, or none.",
        bad="NEXUS_HTTP_PORT=web, or .nexus/credentials.json cut short",
        good="repair the variable or the file; `nexus up` writes .nexus anew when it is removed",
    ),
    Code(
        id="NX6002",
        slug="broker-address",
        summary="The broker's address, or its CA file, can't be read.",
        why="It is one URL without credentials: what stands in a URL ends in logs and process lists.",
        bad="NEXUS_BROKER_URL=mqtt://me:secret@10.0.0.2",
        good="NEXUS_BROKER_URL=mqtts://10.0.0.2:8883, with NEXUS_BROKER_USER and NEXUS_BROKER_PASSWORD_FILE",
    ),
    Code(
        id="NX6003",
        slug="health-port-taken",
        summary="The port for /health, /metrics and /status can't be opened.",
        why="A role that can't be looked at is not started half.",
        bad="NEXUS_HTTP_PORT=80 as an ordinary user",
        good="NEXUS_HTTP_PORT=0 picks a free port",
    ),
    Code(
        id="NX6010",
        slug="broker-unreachable",
        summary="The broker does not answer.",
        why="Nothing can be published or heard; gateways keep accepted samples in their disk logs meanwhile.",
        bad="nexus tail, with no broker running",
        good="nexus up SITE starts one; NEXUS_BROKER_URL names another",
    ),
    Code(
        id="NX6011",
        slug="broker-refused-credentials",
        summary="The broker refused our user name or password.",
        why="Every role has its own principal; the broker's password file and .nexus/credentials.json must agree.",
        good="nexus up writes both; for a broker of your own, `nexus access render` and its password file",
    ),
    Code(
        id="NX6012",
        slug="broker-refused-topic",
        summary="The broker refused a subscription, or dropped a publish without a word.",
        why="MQTT 3.1.1 has no answer for a refused publish: a role that only acknowledges would lose data in silence.",
        bad="a gateway whose grants were not pushed to the broker: its canary does not come back",
        good="nexus access render --broker …, then load it; `nexus access can` says which rule decides",
    ),
    Code(
        id="NX6013",
        slug="gateway-no-configuration",
        summary="A gateway has neither a local copy of its configuration nor control to ask.",
        why="It waits and asks again; until then it reads nothing.",
        good="start control, or look at the gateway's token",
    ),
    Code(
        id="NX6014",
        slug="outbox-unusable",
        summary="The gateway's disk log can't be opened.",
        why="A sample counts as accepted only when it is on disk; without it custody can't be promised.",
        bad="a full disk, a read-only folder, or a second gateway with the same name on this machine",
        good="free the disk or stop the other process; the folder is .nexus/outbox/NAME",
    ),
)

CONTROL: tuple[Code, ...] = (
    Code(
        id="NX6400",
        slug="control-unreachable",
        summary="Control's HTTP API does not answer.",
        why="Plans, deployments and the gateways' configuration come from there.",
        bad="nexus plan, with nothing running",
        good="nexus up SITE, or NEXUS_CONTROL_URL for a runtime elsewhere",
    ),
    Code(
        id="NX6401",
        slug="token-refused",
        summary="Control does not know the bearer token.",
        why="The API is closed by default; every principal has a token of its own.",
        bad="NEXUS_CONTROL_TOKEN=old nexus plan",
        good="the token of .nexus/credentials.json, or NEXUS_CONTROL_TOKEN_FILE",
    ),
    Code(
        id="NX6402",
        slug="other-site",
        summary="This control serves another site.",
        why="A runtime belongs to one site; applying another file to it would empty the plant.",
        bad="nexus plan sites/berlin, against the runtime of chicago",
        good="nexus up sites/berlin, or NEXUS_CONTROL_URL of that site's runtime",
    ),
    Code(
        id="NX6403",
        slug="not-allowed",
        summary="The token is known, but may not do this.",
        why="A gateway reads its own configuration and nothing else.",
        good="use the token of nexus.cli",
    ),
    Code(
        id="NX6404",
        slug="not-control",
        summary="What answers at the control URL is not control.",
        why="A proxy or another program stands in its place.",
        good="look at NEXUS_CONTROL_URL",
    ),
    Code(
        id="NX6405",
        slug="request-refused",
        summary="Control could not read the request: it is too large or has the wrong shape.",
        why="Nothing is recorded from a request that was not understood whole.",
        good="use the same version of nexus on both sides",
    ),
    Code(
        id="NX6406",
        slug="not-found",
        summary="Control knows nothing by this name.",
        why="A misspelt name would otherwise look like an empty answer.",
        good="nexus show lists what is recorded",
    ),
    Code(
        id="NX6407",
        slug="alert-not-active",
        summary="Only an active alert can be acknowledged.",
        why="An acknowledgement says that a person has seen what is wrong now.",
        good="nexus show",
    ),
)

DATABASE: tuple[Code, ...] = (
    Code(
        id="NX6200",
        slug="database-unreachable",
        summary="The database does not answer.",
        why="Control can't record a deployment, history can't be read; samples wait in the gateways' disk logs meanwhile.",
        bad="nexus history packaging/line-1/filler/temperature, with PostgreSQL stopped",
        good="nexus status shows what runs; NEXUS_DATABASE_URL names another server",
    ),
    Code(
        id="NX6201",
        slug="schema-behind",
        summary="The database does not have the schema that this version needs.",
        why="A role that wrote into an older schema would fail row by row; it refuses to start instead.",
        bad="a new version of nexus on a database that was not migrated",
        good="nexus db upgrade",
    ),
    Code(
        id="NX6202",
        slug="database-refused",
        summary="The database refused the user, the password or the database name, or the user lacks a right.",
        why="Waiting does not help here; somebody must correct the credentials or the rights.",
        bad="NEXUS_DATABASE_URL=postgresql://nexus@db/nexsu",
        good="correct NEXUS_DATABASE_URL, NEXUS_DATABASE_PASSWORD, or grant the user ownership of schema nexus",
    ),
    Code(
        id="NX6203",
        slug="database-not-configured",
        summary="No database is configured, or its address is not a postgresql:// URL.",
        why="History and control live in PostgreSQL.",
        bad="nexus history …, in a folder where nexus up never ran",
        good="nexus up SITE, or NEXUS_DATABASE_URL=postgresql://USER@HOST:5432/NAME",
    ),
    Code(
        id="NX6204",
        slug="schema-from-a-newer-version",
        summary="The database's schema was made by a newer version of nexus.",
        why="An older program can't know what the newer columns mean; it touches nothing.",
        good="install the newer version",
    ),
    Code(
        id="NX6205",
        slug="migration-not-possible",
        summary="A migration can't be run as asked.",
        why="The revision is unknown, or there is no step in that direction.",
        bad="nexus db downgrade 9999",
        good="nexus db current lists the revisions",
    ),
    Code(
        id="NX6206",
        slug="database-read-only",
        summary="The database takes no changes: it is a standby, or it is set read-only.",
        why="After a failover the old address may lead to the standby. Roles wait and go on when it takes changes again.",
        bad="NEXUS_DATABASE_URL names the standby of a replicated pair",
        good="name the primary in NEXUS_DATABASE_URL",
    ),
    Code(
        id="NX6207",
        slug="database-behind-a-pooler",
        summary="A connection pooler is between nexus and the database.",
        why="Limits, locks and prepared statements live in a session; a pooler gives each transaction another one.",
        bad="NEXUS_DATABASE_URL names pgbouncer",
        good="name the server itself in NEXUS_DATABASE_URL",
    ),
    Code(
        id="NX6208",
        slug="database-busy",
        summary="Another session holds a lock that this needs, or the server took too long.",
        why="A statement that waited for ever would hold up all that comes behind it; it ends, and nothing was changed.",
        bad="nexus apply, while somebody's ALTER TABLE holds a table of schema nexus",
        good="try again; pg_stat_activity tells which session it is",
    ),
    Code(
        id="NX6210",
        slug="no-such-series",
        summary="No stored series has this path.",
        why="A series is made when its tag is applied; before that there is no history to show.",
        bad="nexus history packaging/line-1/filler/temprature",
        good="nexus history packaging/line-1/filler/temperature",
    ),
    Code(
        id="NX6211",
        slug="history-question",
        summary="The time span or the grid of a history question can't be used.",
        why="A span that ends before it begins, or a million buckets, is a slip of the pen.",
        bad="nexus history PATH --since 1h --until 2h",
        good="nexus history PATH --since 2h --until 1h",
    ),
)

OURS: tuple[Code, ...] = (
    Code(
        id="NX9000",
        slug="bug",
        summary="This is a bug in nexus, not in your site.",
        why="Something happened that nobody thought of. A command leaves a report in a file that it names; a role has it in "
        "its log (`nexus logs`). Neither holds values of your site beyond the text of the error.",
        good="report it with that file; nothing that was applied or stored is touched by it",
    ),
)

CODES: tuple[Code, ...] = (*BROKER, *CONTROL, *DATABASE, *LOCAL, *OURS)
