"""OPC UA as the site language sees it: connection and tag keys, link id, normal form. No protocol library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, field_validator, model_validator

from nexus_cli.drivers.opcua.address import is_slice, parse_address
from nexus_cli.drivers.opcua.fingerprints import fingerprint
from nexus_cli.drivers.opcua.url import DEFAULT_PORT, URL
from nexus_cli.json_value import JsonObject, is_number
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.model.site import Connection, Deadband, Duration, Tag, Wait

Security = Literal[
    "None",
    "Basic256Sha256/Sign",
    "Basic256Sha256/SignAndEncrypt",
    "Aes128Sha256RsaOaep/Sign",
    "Aes128Sha256RsaOaep/SignAndEncrypt",
    "Aes256Sha256RsaPss/Sign",
    "Aes256Sha256RsaPss/SignAndEncrypt",
]
Profile = Literal["s7-1200", "s7-1500", "kepware", "ignition", "open", "unknown"]
_REFERENCE = re.compile(r"\$\{(env|file):[^}]+\}")


def _device_deadband(value: object) -> object:
    if is_number(value):
        return Deadband(absolute=float(value))
    if isinstance(value, str) and (match := re.match(r"(\d+(?:\.\d+)?)\s*%\Z", value)):
        return Deadband(percent=float(match[1]))
    return value


class OpcuaConnection(Connection):
    """How to reach an OPC UA server, and its limits."""

    endpoint: str = Field(description="opc.tcp://host:4840, with a path when the server has one.")
    security: Security = Field(
        default="None", description="Policy and mode: None, or for instance Basic256Sha256/SignAndEncrypt."
    )
    user: str | None = Field(default=None, description="User name; leave it out for an anonymous session.")
    password: str | None = Field(default=None, description="A secret reference such as ${env:PLC_PASSWORD}.")
    certificate: str | None = Field(
        default=None, description="Our certificate (PEM or DER file); made once and kept when left out."
    )
    private_key: str | None = Field(default=None, description="Key of `certificate` (PEM file).")
    user_certificate: str | None = Field(
        default=None, description="An X.509 user's certificate (PEM or DER file), instead of `user`."
    )
    user_private_key: str | None = Field(default=None, description="Key of `user_certificate` (PEM file).")
    trust: str | None = Field(
        default=None,
        description="The server's certificate: its SHA-1 or SHA-256 fingerprint, or a PEM or DER file. Left out: the first one seen is kept, and another one is refused.",
    )
    session_timeout: Wait | None = Field(
        default=None,
        description="How long the server keeps a session without news of us (default 60s; it may revise it).",
    )
    profile: Profile | None = Field(
        default=None, description="Make of the server, for its limits per call (default unknown: 50 nodes)."
    )
    max_read: int | None = Field(default=None, ge=1, le=10_000, description="Nodes in one Read.")
    max_write: int | None = Field(default=None, ge=1, le=10_000, description="Nodes in one Write.")
    max_subscribe: int | None = Field(default=None, ge=1, le=10_000, description="Items in one CreateMonitoredItems.")
    max_items: int | None = Field(default=None, ge=1, description="Most monitored items of the server in total.")
    override_host: bool | None = Field(
        default=None,
        description="Stay on the host of `endpoint` when the server announces another one (default true).",
    )

    @field_validator("endpoint")
    @classmethod
    def _readable_endpoint(cls, text: str) -> str:
        return normal_endpoint(text)

    @field_validator("password")
    @classmethod
    def _referenced(cls, text: str | None) -> str | None:
        # A password in the file would be in plans, state and the recorded configuration.
        if text is not None and not _REFERENCE.search(text):
            raise ValueError("a password is not written into the file; refer to it, such as ${env:PLC_PASSWORD}")
        return text

    @field_validator("trust")
    @classmethod
    def _fingerprint(cls, text: str | None) -> str | None:
        if text is None:
            return None
        return fingerprint(text) or text

    @model_validator(mode="after")
    def _belong_together(self) -> OpcuaConnection:
        if self.password is not None and self.user is None:
            raise ValueError("'password' needs a 'user'")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("'certificate' and 'private_key' need each other; leave both out to have them made")
        if (self.user_certificate is None) != (self.user_private_key is None):
            raise ValueError("'user_certificate' and 'user_private_key' need each other")
        if self.user_certificate is not None and self.user is not None:
            raise ValueError("'user' and 'user_certificate' are two users; leave one out")
        if self.trust is not None and self.security == "None":
            raise ValueError("'trust' needs a 'security' other than None; without one no certificate is checked")
        return self


class OpcuaTag(Tag):
    """One node of an OPC UA server, or one element of an array."""

    node: str = Field(
        validation_alias=AliasChoices("node", "address"),
        description="nsu=<namespace uri>;s=Name (or i=, g=, b=); ns=2;… works too, but indexes move. [2,3] picks an array element.",
    )
    index: str | int | None = Field(
        default=None, description='Array element or slice: 2, "2,3", "0:3". "" says that brackets belong to the name.'
    )
    varying: bool | None = Field(
        default=None,
        description="true: the array may be shorter than its type says; float64[8] is then at most eight values.",
    )
    sampling: Duration | None = Field(
        default=None, description="How often the server samples (subscribe); the poll interval when left out."
    )
    queue: int | None = Field(
        default=None, ge=1, le=10_000, description="Values that the server may hold back (default 1)."
    )
    discard_oldest: bool | None = Field(
        default=None, description="Which value a full queue loses: the oldest (default true) or the newest."
    )
    trigger: Literal["Status", "StatusValue", "StatusValueTimestamp"] | None = Field(
        default=None, description="What counts as a change (default StatusValue)."
    )
    device_deadband: Annotated[Deadband | None, BeforeValidator(_device_deadband)] = Field(
        default=None,
        description="Deadband that the server applies, in the raw unit, or '2%' of the node's EURange (subscribe only).",
    )


def normal_endpoint(text: str) -> str:
    """`opc.tcp://host:port/path` with a lower-case host and an explicit port; secret references pass as they are.

    Raises:
        ValueError: Not an OPC UA endpoint, or it carries credentials.
    """
    if "${" in text:
        return text
    parts = urlsplit(text.strip())
    try:
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme.lower() != "opc.tcp" or not host:
        hint = f"opc.tcp://{text}" if "://" not in text else "opc.tcp://10.0.0.5:4840"
        raise ValueError(
            f"'{_without_credentials(text)}' is not an OPC UA endpoint; write it as {_without_credentials(hint)}"
        )
    if parts.username or parts.password:
        raise ValueError("an endpoint with credentials would put them into plans and logs; use `user` and `password`")
    shown = f"[{host}]" if ":" in host else host
    return f"opc.tcp://{shown}:{port}{parts.path.rstrip('/')}"


def _without_credentials(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//", text)


def _link_of(connection: Any) -> str:
    return str(connection.endpoint)


class _Options(TypedDict, total=False):
    """`Address.options` of OPC UA; what is left out has its usual value.

    index: NumericRange behind the node id.
    varying: The array may have fewer elements than its type.
    sampling: Sampling interval in milliseconds.
    queue: Values that the server queues.
    discard_oldest: False discards the newest value of a full queue.
    trigger: What a change is, as DataChangeTrigger.
    device_deadband, device_deadband_percent: Of the server.
    """

    index: str
    varying: bool
    sampling: int
    queue: int
    discard_oldest: bool
    trigger: str
    device_deadband: float
    device_deadband_percent: float


def _address_of(connection: Any, tag: Any) -> Address:
    index = None if tag.index is None else str(tag.index)
    node = parse_address(tag.node, index=index)
    kind = parse_type(tag.type)
    if node.range and not is_slice(node.range) and kind.count:
        raise AddressError(
            f"'{tag.node}' is one element of an array, but the type is '{tag.type}'",
            hint=f"write type: {kind.base}, or a slice such as [0:{kind.count - 1}]",
            key="type",
            code="NX3203",
        )
    if node.range and is_slice(node.range) and not kind.count and kind.base != "json":
        raise AddressError(
            f"'{tag.node}' is a slice of an array, but the type '{tag.type}' is a single value",
            hint=f"write type: {tag.type}[4] with the number of elements, or pick one element: [2]",
            key="type",
            code="NX3203",
        )
    if tag.varying and (node.range or not kind.count):
        raise AddressError(
            f"'varying' is for a whole array, and '{tag.node}' is {'a part of one' if node.range else 'a single value'}",
            hint="leave it out" if node.range else f"write the longest it can be, such as type: {tag.type}[16]",
            key="varying",
            code="NX3203",
        )
    if tag.device_deadband is not None and not kind.numeric:
        raise AddressError(
            f"'device_deadband' needs a number, but the type is '{tag.type}'",
            hint="leave it out; every change is reported",
            key="device_deadband",
            code="NX3204",
        )
    options: _Options = {}
    if node.range:
        options["index"] = node.range
    if tag.varying:
        options["varying"] = True
    if tag.sampling is not None:
        options["sampling"] = tag.sampling
    if tag.queue not in (None, 1):
        options["queue"] = tag.queue
    if tag.discard_oldest is False:
        options["discard_oldest"] = False
    if tag.trigger not in (None, "StatusValue"):
        options["trigger"] = tag.trigger
    if tag.device_deadband is not None:
        percent = tag.device_deadband.percent
        if percent is not None:
            options["device_deadband_percent"] = percent
        elif tag.device_deadband.absolute:
            options["device_deadband"] = tag.device_deadband.absolute
    return Address(node.text, options)


def _keep_brackets(keys: JsonObject) -> None:
    """Say of a node id that ends in brackets that they are its own: no other tool's file has ranges behind a node id."""
    try:
        ours = parse_address(str(keys.get("node", ""))).range != ""
    except AddressError:
        ours = True  # brackets that are not a range, or not a node id at all, which is found later
    if ours and str(keys.get("node", "")).rstrip().endswith("]"):
        keys["index"] = ""


def _listens_at(connection: Mapping[str, Any]) -> tuple[str, int]:
    """Of its endpoint."""
    parts = urlsplit(str(connection.get("endpoint") or ""))
    return parts.hostname or "", parts.port or DEFAULT_PORT


KIND = DriverKind(
    name="opcua",
    title="OPC UA",
    modes=("poll", "subscribe"),
    connection=OpcuaConnection,
    tag=OpcuaTag,
    link_of=_link_of,
    address_of=_address_of,
    link_keys=frozenset(OpcuaConnection.model_fields),
    resolved_keys=frozenset({"endpoint", "user", "password"}),
    url=URL,
    default_port=DEFAULT_PORT,
    answer_ms=20.0,
    listens_at=_listens_at,
    stand_in={"endpoint": "opc.tcp://device:4840"},
    address_key="node",
    browse_resumes=True,
    imported=_keep_brackets,
    hints={FailureKind.SECURITY_NOT_OFFERED: "--security with one that it offers, --security None without"},
)
