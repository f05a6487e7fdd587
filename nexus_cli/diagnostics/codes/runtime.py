"""Band 6, runtime: brokers, databases, devices."""

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.diagnostics.codes.identity import IDENTITY
from nexus_cli.diagnostics.codes.local import LOCAL
from nexus_cli.exit_codes import Exit

BROKER: tuple[Code, ...] = (
    Code(
        id="NX6000",
        slug="outside-failed",
        summary="Something outside NEXUS failed.",
        why="A file, socket or service failed; the message names it.",
        good=text("look at the cause under the message"),
    ),
    Code(
        id="NX6001",
        slug="settings-unreadable",
        exit=Exit.USAGE,
        summary="A settings or secret file can't be read.",
        why="Without it a role would start with the wrong identity, or none.",
        bad=text("NEXUS_HTTP_PORT=web, or .nexus/credentials.json cut short"),
        good=text("repair the variable or the file; `nexus up` writes a new .nexus when it is removed"),
    ),
    Code(
        id="NX6002",
        slug="broker-address",
        exit=Exit.USAGE,
        summary="The broker's address, or its CA file, can't be read.",
        why="It must be one URL without credentials: URLs end up in logs and process lists.",
        bad=text("NEXUS_BROKER_URL=mqtt://me:secret@10.0.0.2"),
        good=text("NEXUS_BROKER_URL=mqtts://10.0.0.2:8883, with NEXUS_BROKER_USER and NEXUS_BROKER_PASSWORD_FILE"),
    ),
    Code(
        id="NX6003",
        slug="health-port-taken",
        hint="another process may have it; set NEXUS_HTTP_PORT, 0 picks a free one",
        summary="The port for /health, /metrics and /status can't be opened.",
        why="A role without health and metrics is not started.",
        bad=text("NEXUS_HTTP_PORT=80 as an ordinary user"),
        good=text("NEXUS_HTTP_PORT=0 picks a free port"),
    ),
    Code(
        id="NX6010",
        slug="broker-unreachable",
        summary="The broker does not answer.",
        why="Nothing can be published or received; gateways keep accepted samples in their disk logs meanwhile.",
        bad=text("nexus tail, with no broker running"),
        good=text("nexus up SITE starts one; NEXUS_BROKER_URL names another"),
    ),
    Code(
        id="NX6011",
        slug="broker-refused-credentials",
        hint="check NEXUS_BROKER_USER and NEXUS_BROKER_PASSWORD, or the credentials in the .nexus folder",
        summary="The broker refused our user name or password.",
        why="Every role has its own principal; the broker's password file and .nexus/credentials.json must agree.",
        good=text(
            "nexus up writes both; with your own broker, the user and password in NEXUS_BROKER_USER and its password file"
        ),
    ),
    Code(
        id="NX6012",
        slug="broker-refused-topic",
        summary="The broker refused a subscription, or dropped a publish silently.",
        why="MQTT 3.1.1 has no error for a refused publish: without a check the gateway would lose data silently.",
        bad=text("a gateway whose rights are missing at the broker: its test message does not come back"),
        good=text(
            "nexus apply brings the rights of nexus up in line; with your own broker, grant the user the refused topic"
        ),
    ),
    Code(
        id="NX6013",
        slug="gateway-no-configuration",
        hint="is control of the same version?",
        summary="A gateway has no local copy of its configuration and can't reach control.",
        why="It retries; until then it reads nothing.",
        good=text("start control, or look at the gateway's token"),
    ),
    Code(
        id="NX6014",
        slug="outbox-unusable",
        hint="free the disk, make the folder writable, or stop the other process",
        summary="The gateway's disk log can't be opened.",
        why="A sample counts as accepted only when it is on disk; without it custody can't be promised.",
        bad=text("a full disk, a read-only folder, or a second gateway with the same name on this machine"),
        good=text("free the disk or stop the other process; the folder is .nexus/outbox/NAME"),
    ),
    Code(
        id="NX6015",
        slug="broker-unable",
        summary="The broker lacks a required feature.",
        why="Without retained messages deployments are not noticed, and without QoS 2 a command may run twice; a broker "
        "that does not support them closes connections without a reason.",
        bad=text(
            "a broker without retained messages, with QoS 0 or 1 alone, with packets of 300 bytes, or MQTT 5 only"
        ),
        good=text("allow it in the broker's configuration, or name another broker in NEXUS_BROKER_URL"),
    ),
)

CONTROL: tuple[Code, ...] = (
    Code(
        id="NX6400",
        slug="control-unreachable",
        summary="Control's HTTP API does not answer.",
        why="Plans, deployments and the gateways' configuration come from there.",
        bad=text("nexus plan, with nothing running"),
        good=text("nexus up SITE, or NEXUS_CONTROL_URL for a runtime elsewhere"),
    ),
    Code(
        id="NX6401",
        slug="token-refused",
        hint="`nexus access token USER` makes one, for NEXUS_CONTROL_TOKEN or the header Authorization: Bearer TOKEN",
        summary="The bearer token is not known.",
        why="The API is closed by default; every principal has a token of its own.",
        bad=console("NEXUS_CONTROL_TOKEN=old nexus plan"),
        good=text(
            "NEXUS_CONTROL_TOKEN_FILE, with a token of `nexus access token USER`; without it that of .nexus/credentials.json"
        ),
    ),
    Code(
        id="NX6402",
        slug="other-site",
        hint="the runtime of this folder (or NEXUS_CONTROL_URL) is of another site; `--home DIR` names another one",
        summary="Another site is served here.",
        why="A runtime belongs to one site; applying another file to it would empty the plant.",
        bad=text("nexus plan sites/berlin, against the runtime of chicago"),
        good=text("nexus up sites/berlin, or NEXUS_CONTROL_URL of that site's runtime"),
    ),
    Code(
        id="NX6403",
        slug="not-allowed",
        summary="The token is known, but may not do this.",
        why="A gateway reads its own configuration and nothing else.",
        good=text("use the token of nexus.cli"),
    ),
    Code(
        id="NX6404",
        slug="not-control",
        hint="look at NEXUS_CONTROL_URL, and at a proxy in between",
        summary="The server at the control URL is not a NEXUS control API.",
        why="A proxy or another program answers there, or a control of another version, whose answer can't be read.",
        good=text("look at NEXUS_CONTROL_URL"),
    ),
    Code(
        id="NX6405",
        slug="request-refused",
        summary="The request could not be read: it is too large or has the wrong shape.",
        why="A request that is not completely valid records nothing.",
        good=text("use the same version of nexus on both sides"),
    ),
    Code(
        id="NX6406",
        slug="not-found",
        exit=Exit.FINDINGS,
        summary="Control has no resource with this name.",
        why="A misspelt name would otherwise look like an empty answer.",
        good=text("nexus show lists what is recorded"),
    ),
    Code(
        id="NX6407",
        slug="alert-not-active",
        exit=Exit.FINDINGS,
        summary="Only an active alert, or an alarm that returned, can be acknowledged.",
        why="An acknowledgement says that a person has seen what is wrong now.",
        good=console("nexus show"),
    ),
    Code(
        id="NX6430",
        slug="alert-not-shelved",
        exit=Exit.FINDINGS,
        summary="The alert is not shelved.",
        why="Its shelf ended by itself, or a person ended it before.",
        good=console("nexus alarms list --state shelved"),
    ),
    Code(
        id="NX6431",
        slug="alert-service",
        exit=Exit.FINDINGS,
        summary="The alert is out of service already, or in service.",
        why="Another person did it before, and the journal says who.",
        good=console("nexus alarms journal NAME"),
    ),
    Code(
        id="NX6408",
        slug="control-standby",
        summary="This control is a standby: it answers queries and changes nothing.",
        why="One control of a site acts. Two that raise alarms, deploy or run sequences would undo each other's work.",
        bad=text("nexus apply, with NEXUS_CONTROL_URL of the second control"),
        good=text("use the control that the message names; a standby takes over automatically within seconds"),
    ),
    Code(
        id="NX6409",
        slug="control-stopping",
        summary="The process that answers is about to end.",
        why="Work in progress continues when it is up again; nothing new is started.",
        bad=text("nexus apply, during nexus down"),
        good=console("nexus up SITE, then try again"),
    ),
    Code(
        id="NX6410",
        slug="control-busy",
        summary="Large requests are being read, and no other is accepted now.",
        why="The memory for requests is limited.",
        good=text("try again in some seconds"),
    ),
)

DATABASE: tuple[Code, ...] = (
    Code(
        id="NX6200",
        slug="database-unreachable",
        summary="The database does not answer.",
        why="Control can't record a deployment, history can't be read; samples wait in the gateways' disk logs meanwhile.",
        bad=text("nexus history packaging/line-1/filler/temperature, with PostgreSQL stopped"),
        good=text("nexus status shows what runs; NEXUS_DATABASE_URL names another server"),
    ),
    Code(
        id="NX6201",
        slug="schema-behind",
        hint="run `nexus db upgrade`",
        summary="The database does not have the schema that this version needs.",
        why="A role that wrote into an older schema would fail row by row; it refuses to start instead.",
        bad=text("a new version of nexus on a database that was not migrated"),
        good=console("nexus db upgrade"),
    ),
    Code(
        id="NX6202",
        slug="database-refused",
        summary="The database refused the user, the password or the database name, or the user lacks a right.",
        why="Waiting does not help; correct the credentials or the rights.",
        bad=console("NEXUS_DATABASE_URL=postgresql://nexus@db/nexsu"),
        good=text("correct NEXUS_DATABASE_URL, NEXUS_DATABASE_PASSWORD, or grant the user ownership of schema nexus"),
    ),
    Code(
        id="NX6203",
        slug="database-not-configured",
        exit=Exit.USAGE,
        summary="No database is configured, or its address is not a postgresql:// URL.",
        why="History and control live in PostgreSQL.",
        bad=text("nexus history …, in a folder where nexus up never ran"),
        good=text("nexus up SITE, or NEXUS_DATABASE_URL=postgresql://USER@HOST:5432/NAME"),
    ),
    Code(
        id="NX6204",
        slug="schema-from-a-newer-version",
        hint="it was made by a newer nexus: install that version, or a later one",
        summary="The database's schema was made by a newer version of nexus.",
        why="An older program can't know what the newer columns mean; it touches nothing.",
        good=text("install the newer version"),
    ),
    Code(
        id="NX6205",
        slug="migration-not-possible",
        hint="`nexus db current` lists revisions",
        summary="A migration can't be run as asked.",
        why="The revision is unknown, or there is no step in that direction.",
        bad=console("nexus db downgrade 9999"),
        good=text("nexus db current lists the revisions"),
    ),
    Code(
        id="NX6206",
        slug="database-read-only",
        hint="it is a standby, or default_transaction_read_only is set: name the primary in NEXUS_DATABASE_URL",
        summary="The database is read-only: it is a standby, or set so.",
        why="After a failover the old address may lead to the standby. Roles wait and continue when it is writable again.",
        bad=text("NEXUS_DATABASE_URL names the standby of a replicated pair"),
        good=text("name the primary in NEXUS_DATABASE_URL"),
    ),
    Code(
        id="NX6207",
        slug="database-behind-a-pooler",
        hint="name the server itself in NEXUS_DATABASE_URL: locks and prepared statements need a session of their own",
        summary="A connection pooler is between nexus and the database.",
        why="Limits, locks and prepared statements live in a session; a pooler gives each transaction another one.",
        bad=text("NEXUS_DATABASE_URL names pgbouncer"),
        good=text("name the server itself in NEXUS_DATABASE_URL"),
    ),
    Code(
        id="NX6208",
        slug="database-busy",
        hint="try again; pg_stat_activity shows the session that holds the lock or the server",
        summary="Another session holds a lock that this needs, or the server took too long.",
        why="A statement that waits for ever would block everything behind it; it was cancelled, and nothing was changed.",
        bad=text("nexus apply, while somebody's ALTER TABLE holds a table of schema nexus"),
        good=text("try again; pg_stat_activity shows the session"),
    ),
    Code(
        id="NX6210",
        slug="no-such-series",
        exit=Exit.FINDINGS,
        summary="No stored series has this path.",
        why="A series is made when its tag is applied; before that there is no history to show.",
        bad=console("nexus history packaging/line-1/filler/temprature"),
        good=console("nexus history packaging/line-1/filler/temperature"),
    ),
    Code(
        id="NX6211",
        slug="history-question",
        exit=Exit.FINDINGS,
        summary="The time span or the grid of a history question can't be used.",
        why="A span that ends before it begins, or a million buckets, is a typing error.",
        bad=console("nexus history PATH --since 1h --until 2h"),
        good=console("nexus history PATH --since 2h --until 1h"),
    ),
)

OURS: tuple[Code, ...] = (
    Code(
        id="NX9000",
        slug="bug",
        exit=Exit.BUG,
        summary="This is a bug in nexus, not in your site.",
        why="An unexpected error. A command writes a report to a file and names it; a role has it in "
        "its log (`nexus logs`). Neither holds values of your site beyond the text of the error.",
        good=text("report it with that file; applied and stored data is not affected"),
    ),
)

CODES: tuple[Code, ...] = (*BROKER, *CONTROL, *IDENTITY, *DATABASE, *LOCAL, *OURS)
