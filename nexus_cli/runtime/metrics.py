"""Metrics of one process for Prometheus, in a registry of our own. Labels name links and devices' links, never tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Readings = Callable[[], Mapping[tuple[str, ...], float]]
"""Current value by label values, read when Prometheus asks."""


class Metrics:
    """The counters, gauges and histograms of one role.

    Hot paths count in plain integers; `watch` reads them only at a scrape, so a sample costs nothing.
    """

    def __init__(self) -> None:
        """Start with an empty registry."""
        self.registry = CollectorRegistry(auto_describe=False)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A counter that is raised directly; for rare events."""
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge that is set directly."""
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
        """A histogram; `buckets` are upper bounds in the unit that the name ends with."""
        return Histogram(name, text, labels, buckets=tuple(buckets), registry=self.registry)

    def watch_counters(self, name: str, text: str, labels: Sequence[str], read: Readings) -> None:
        """A family of counters whose values are kept elsewhere. `name` without `_total`."""
        self.registry.register(_Watched(name, text, labels, read, counters=True))

    def watch_gauges(self, name: str, text: str, labels: Sequence[str], read: Readings) -> None:
        """A family of gauges whose values are kept elsewhere."""
        self.registry.register(_Watched(name, text, labels, read, counters=False))

    def render(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)


class _Watched:
    def __init__(self, name: str, text: str, labels: Sequence[str], read: Readings, *, counters: bool) -> None:
        self._name, self._text, self._labels, self._read, self._counters = name, text, tuple(labels), read, counters

    def collect(self) -> Iterable[Metric]:
        family: CounterMetricFamily | GaugeMetricFamily
        if self._counters:
            family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        else:
            family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for values, reading in self._read().items():
            family.add_metric(values, reading)
        yield family

    def describe(self) -> Iterable[Metric]:
        return []
