"""Band 6, runtime: the WebSocket of the role web (NX6910 to NX6919)."""

from nexus_cli.diagnostics.codes.code import Code, text

CODES: tuple[Code, ...] = (
    Code(
        id="NX6910",
        slug="socket-message-unreadable",
        summary="A message of a WebSocket client can't be read.",
        why="It is answered and nothing is done; the connection stays.",
        bad=text('{"op":"watch","id":1,"path":"a/**"}'),
        good=text('{"op":"watch","id":1,"paths":["a/**"]}; docs/websocket.md has every message'),
    ),
    Code(
        id="NX6911",
        slug="socket-too-many",
        hint="`unwatch` what is no longer shown, or open another connection",
        summary="A WebSocket client asks for more than one connection may have.",
        why="What one client watches costs this web memory and time that all clients share.",
        bad=text("a `watch` for each of 10,000 tags"),
        good=text("one `watch` with a glob, or with the paths of what is on the screen"),
    ),
    Code(
        id="NX6913",
        slug="socket-not-a-filter",
        hint="`+` stands for one whole level, and `#` for the rest, at the end",
        summary="What a WebSocket client wants to listen to is no filter of topics.",
        why="Nothing is subscribed to.",
        bad=text("acme/#/temperature, acme/line-+"),
        good=text("acme/chicago/+/line-1/#"),
    ),
)
