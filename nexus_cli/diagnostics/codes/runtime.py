"""Band 6, runtime: brokers, databases, devices."""

from nexus_cli.diagnostics.codes.code import Code

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

CODES: tuple[Code, ...] = (*CONTROL,)
