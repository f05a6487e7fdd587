"""Band 6, runtime: what `nexus up` runs on one machine (NX6500 to NX6699)."""

from nexus_cli.diagnostics.codes.code import Code, console, text

LOCAL: tuple[Code, ...] = (
    Code(
        id="NX6501",
        slug="local-files-unreadable",
        summary="A file of the .nexus folder can't be read.",
        why="It says where the runtime is and holds its secrets; a guess would start a second runtime next to the first.",
        bad=text(".nexus/runtime.json cut short, or owned by another user"),
        good=text("remove the file and run `nexus up` again: data and other credentials stay"),
    ),
    Code(
        id="NX6502",
        slug="program-not-started",
        summary="A program could not be started.",
        why="The supervisor tries again with increasing delays; the cause is in its log.",
        good=console("nexus logs supervisor"),
    ),
    Code(
        id="NX6503",
        slug="no-unprivileged-user",
        summary="Servers must not run as root, and there is no other system user to run them as.",
        why="PostgreSQL refuses to run as root, and a broker does not need it.",
        good=text("run nexus as a normal user; on Debian `mosquitto`, `postgres` or `nobody` is used"),
    ),
    Code(
        id="NX6504",
        slug="embedded-database",
        summary="The embedded PostgreSQL can't be set up or started.",
        why="The historian and control need a database; nothing is stored without it.",
        bad=text("a full disk, or data of another major version"),
        good=console("nexus up SITE --database postgresql://nexus@host/nexus uses your own server"),
    ),
    Code(
        id="NX6505",
        slug="local-broker",
        summary="The local broker can't be started.",
        why="Gateways and historian meet only at the broker; gateways keep samples in their disk logs meanwhile.",
        good=text("install mosquitto, or pip install 'nexus-cli[local]'; `nexus up --broker URL` uses your own broker"),
    ),
    Code(
        id="NX6510",
        slug="no-site",
        summary="It is not clear which site to start.",
        why="The runtime serves one site; its name and its gateways come from the site file.",
        bad=text("nexus up, in a folder without a site file"),
        good=console("nexus up sites/demo/site.yaml"),
    ),
    Code(
        id="NX6511",
        slug="no-gateway-name",
        summary="A gateway is run by its name.",
        why="It reads only the links that the site gives to this name.",
        bad=console("nexus run gateway"),
        good=console("nexus run gateway --name gw-1"),
    ),
    Code(
        id="NX6512",
        slug="another-site-runs",
        summary="The runtime of this folder serves another site.",
        why="One .nexus folder is one runtime: two sites in it would share credentials, ports and rows.",
        good=text("nexus down first, or nexus --home OTHER up SITE"),
    ),
    Code(
        id="NX6513",
        slug="not-ready-in-time",
        summary="A part of the runtime did not become ready in time.",
        why="The rest keeps running and the part is tried again; its log has the cause.",
        good=console("nexus status, then nexus logs PART"),
    ),
    Code(
        id="NX6514",
        slug="not-running",
        summary="No runtime is running here.",
        why="Nothing was started from this folder, or it was stopped.",
        good=text("nexus up SITE; another folder is named with nexus --home or NEXUS_HOME"),
    ),
    Code(
        id="NX6515",
        slug="not-stopped",
        summary="A process did not end.",
        why="Starting another one would let two processes write the same files.",
        good=text("look at the process named in the message"),
    ),
    Code(
        id="NX6516",
        slug="no-place-for-locks",
        summary="The folder for runtime locks can't be used.",
        why="A runtime's lock is outside its .nexus folder, so that a second one can't be started by mistake.",
        good=text("remove the folder that the message names, or set NEXUS_LOCKS to a folder of your own"),
    ),
    Code(
        id="NX6517",
        slug="site-runs-elsewhere",
        summary="This site runs on this machine already, from another folder.",
        why="Two runtimes of one site poll the same devices, and each has half of the commands and the rows.",
        bad=text("nexus up, in a copy of the folder that runs"),
        good=text(
            "nexus --home FOLDER status shows the one that runs; nexus up --beside starts a second one on purpose"
        ),
    ),
    Code(
        id="NX6518",
        slug="copied-folder",
        summary="This folder is a copy of one whose runtime runs, and nothing was changed.",
        why="The addresses in a copied .nexus are those of the original: what is applied or written here would change that plant.",
        bad=text("cp -r plant trial; cd trial; nexus apply"),
        good=text(
            "nexus --home ../plant/.nexus apply means the original; nexus up --beside starts a runtime of the copy; "
            "NEXUS_CONTROL_URL names another by hand"
        ),
    ),
    Code(
        id="NX6520",
        slug="no-value",
        summary="There is no value on this topic.",
        why="The tag was never published: it is not applied, its device was never reached, or the path is another one.",
        bad=console("nexus read packaging/line-1/filler/temprature"),
        good=text("nexus read packaging/line-1/filler/temperature, or --wait 10s for the next value"),
    ),
    Code(
        id="NX6522",
        slug="no-address",
        summary="The tag is not read from a device.",
        why="A calculated or external value has no device address to read.",
        bad=text("nexus read packaging/line-1/filler/overheat --direct, of a calculated tag"),
        good=text("nexus explain packaging/line-1/filler/overheat shows its inputs: read one of those"),
    ),
    Code(
        id="NX6521",
        slug="bad-condition",
        summary="The condition after --where can't be read.",
        why="It is one comparison of a field with a value.",
        bad=text("--where quality<GOOD"),
        good=text("--where quality!=GOOD, --where 'value>=10'"),
    ),
    Code(
        id="NX6530",
        slug="demo-incomplete",
        summary="The demo did not see every tag.",
        why="The path from device to row is broken somewhere.",
        good=console("nexus status and nexus logs show where"),
    ),
)
