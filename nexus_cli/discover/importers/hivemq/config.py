"""HiveMQ Edge configurations (`config.xml`): the protocol adapters for Modbus, OPC UA, S7 and ADS.

Three layouts are read: today's `<protocol-adapter>` with `<tags>` and mappings, and the two older ones with
`<subscriptions>` or `<…ToMqttMappings>` below an element named after the protocol.
Source: HiveMQ Edge, documentation of the adapters and the projects' own test configurations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_cli.checks.names import slugify
from nexus_cli.discover.found import Discovery, Skipped
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.hivemq.elements import Elements
from nexus_cli.discover.importers.hivemq.protocols import CONNECTIONS, TAGS
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.xml_tree import Node, parse_xml
from nexus_cli.discover.site_keys import TagKeys

MAPPING_NO_USE = {
    "maxQos": "topics are published with QoS 1",
    "qos": "topics are published with QoS 1",
    "mqttQos": "topics are published with QoS 1",
    "messageHandlingOptions": "every tag has its own topic",
    "includeTagNames": "the topic names the tag",
    "includeTimestamp": "every message has its time",
    "includeMetadata": "every message has its unit",
    "mqttUserProperties": "messages have no user properties",
    "userProperties": "messages have no user properties",
    "messageExpiryInterval": "the live view is retained",
}
NOT_ADAPTERS = "a setting of the broker, not a device"


@dataclass(slots=True)
class _Topics:
    """Where each tag was published, by the tag's name; what is taken out was used."""

    by_tag: dict[str, list[str]] = field(default_factory=dict)

    def add(self, tag: str, topic: str) -> None:
        self.by_tag.setdefault(tag, []).append(topic)


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """One discovery for each adapter with a driver here."""
    root = parse_xml(source.data)
    if root.name != "hivemq":
        raise MalformedError(f"the root element is <{root.name}>, not <hivemq>", line=root.line)
    adapters = [node for holder in root.all("protocol-adapters") for node in holder.children]
    discoveries: list[Discovery] = []
    left: list[Skipped] = [
        Skipped(f"<{node.name}>", NOT_ADAPTERS) for node in root.children if node.name != "protocol-adapters"
    ]
    for node in adapters:
        protocol = _protocol(node)
        if protocol in TAGS:
            discoveries.append(_adapter(source, options, node, protocol, alone=len(adapters) == 1))
        else:
            left.append(Skipped(f"adapter {_identity(node)}", f"there is no driver for '{protocol}'"))
    if not discoveries:
        discoveries.append(Collector("modbus", source=source.name, options=options).discovery())
    discoveries[0].skipped.extend(left)
    discoveries[0].facts["in"] += len(left)
    discoveries[0].facts["left_out"] += len(left)
    return discoveries


def _protocol(node: Node) -> str:
    name = node.value("protocolId") if node.name == "protocol-adapter" else node.name
    return name.lower().removesuffix("_config") or "nothing"


def _identity(node: Node) -> str:
    return node.value("adapterId") or node.value("id") or node.value("config", "id") or node.name


def _adapter(source: SourceBytes, options: ImportOptions, node: Node, protocol: str, *, alone: bool) -> Discovery:
    collector = Collector(protocol, source=source.name, options=options)
    name = _identity(node)
    collector.facts["identity"] = {"adapter": name}
    collector.device = "" if alone else slugify(name)
    adapter = Elements(node, where=name, collector=collector)
    for key in ("adapterId", "protocolId", "id", "configVersion"):
        adapter.text(key)
    config = adapter.child("config") or adapter
    config.text("id")
    common = CONNECTIONS[protocol](config, collector.connection)
    topics = _Topics()
    kinds: dict[str, str] = {}
    _mappings(adapter, topics)
    _older(config, protocol, topics, kinds, common)
    _subscriptions(adapter, protocol, common)
    for tag in adapter.children("tags", "tag"):
        _tag(tag, protocol, common, topics, kinds)
    for what, written in topics.by_tag.items():
        for topic in written:
            with collector.entry(what):
                collector.skip(f"mapping to '{topic}'", f"there is no tag '{what}'" if what else "it names no tag")
    if config is not adapter:
        config.rest()
    adapter.rest()
    return collector.discovery()


def _mappings(adapter: Elements, topics: _Topics) -> None:
    """Today's mappings, both directions."""
    for mapping in adapter.children("northboundMappings", "northboundMapping"):
        topics.add(mapping.text("tagName"), mapping.text("topic"))
        mapping.without_use(MAPPING_NO_USE)
        mapping.rest()
    for mapping in adapter.children("southboundMappings", "southboundMapping"):
        tag = mapping.text("tagName")
        adapter.note("southboundMappings", f"'{tag}' could be written; an import never makes a tag writable")


def _tag(tag: Elements, protocol: str, common: TagKeys, topics: _Topics, kinds: dict[str, str]) -> None:
    """One `<tag>` with its `<definition>`."""
    collector = tag.collector
    name = tag.text("name")
    with collector.entry(name or "a tag without a name"):
        description = tag.text("description")
        published = topics.by_tag.pop(name, [])
        definition = tag.child("definition")
        tag.rest()
        if definition is None or not name:
            collector.skip(name or "a tag", "it has no definition" if name else "it has no name")
            return
        _take(definition, protocol, (name,), common, description, published, kinds.get(name, ""))
        definition.rest()


def _take(
    definition: Elements,
    protocol: str,
    path: tuple[str, ...],
    common: TagKeys,
    description: str,
    topics: list[str],
    kind: str = "",
) -> None:
    kind = definition.text("dataType") or kind
    try:
        keys = TAGS[protocol](definition, kind)
    except ValueError as error:
        definition.collector.skip("/".join(path), str(error))
        return
    labels = {"topic": topics[0]} if topics and topics[0] else None
    definition.collector.take(path, {**common, **keys, "description": described(description), "labels": labels})


def _subscriptions(adapter: Elements, protocol: str, common: TagKeys) -> None:
    """The oldest layout: tag, address, type and topic in one element."""
    for item in adapter.children("subscriptions", "subscription"):
        name = item.text("tagName")
        with item.collector.entry(name or "a subscription"):
            topic = item.text("destination", "mqttTopic")
            _take(item, protocol, (name,) if name else _levels(topic), common, "", [topic])
            item.without_use(MAPPING_NO_USE)
            item.rest()


def _older(config: Elements, protocol: str, topics: _Topics, kinds: dict[str, str], common: TagKeys) -> None:
    """`<xToMqtt>` with its settings, and in older layouts its mappings."""
    block = config.child(f"{protocol}ToMqtt")
    if block is None:
        return
    for mapping in block.children(f"{protocol}ToMqttMappings", f"{protocol}ToMqttMapping"):
        topic, tag = mapping.text("mqttTopic"), mapping.text("tagName")
        if tag:
            topics.add(tag, topic)
            if kind := mapping.text("dataType"):
                kinds[tag] = kind
        else:
            with mapping.collector.entry(topic or "a mapping"):
                _take(mapping, protocol, _levels(topic), common, "", [topic])
        mapping.without_use(MAPPING_NO_USE)
        mapping.rest()
    block.rest()


def _levels(topic: str) -> tuple[str, ...]:
    """The name of a value that has only a topic."""
    return tuple(level for level in topic.split("/") if level) or ("value",)
