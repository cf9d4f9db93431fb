# SPDX-License-Identifier: Apache-2.0
"""``interfaces.Meters`` over prometheus_client, in a registry of its own.

A label's values are bounded whoever errs: after ``MAX_CHILDREN`` combinations of one metric
further ones are counted together, under ``other``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stackviz_deployer.metrics.catalogue import FAMILIES, Family, Kind

PREFIX = "stackviz_"
MAX_CHILDREN = 200
OTHER = "other"

Read = Callable[[], float | Mapping[str, float]]
"""A gauge's value now, or one for each value of its only label; called on the reactor's thread."""


class PrometheusMeters:
    """Counts.  ``count`` and ``observe`` are for any thread, ``snapshot`` for the reactor's."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which nobody reads
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._made = {
            family.name: _make(family, self._registry)
            for family in FAMILIES.values()
            if family.kind is not Kind.GAUGE
        }
        self._children: dict[tuple[str, ...], Any] = {}
        self._sizes: dict[str, int] = {}
        self._gauges: dict[str, Read] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """See interfaces.Meters."""
        self._child(name, labels).inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """See interfaces.Meters."""
        self._child(name, labels).observe(value)

    def gauge(self, name: str, read: Read) -> None:
        """Ask ``read`` at each scrape; what it raises leaves this gauge out."""
        if FAMILIES[name].kind is not Kind.GAUGE:
            raise ValueError(f"{name} is no gauge")
        self._gauges[name] = read

    def snapshot(self) -> Callable[[], bytes]:
        """Read the gauges; what is returned writes Prometheus' text format and may run in a thread."""
        families = [_gauge(FAMILIES[name], read) for name, read in self._gauges.items()]
        registry = self._registry
        gauges = _Fixed([family for family in families if family is not None])

        def write() -> bytes:
            return generate_latest(registry) + generate_latest(gauges)

        return write

    def _child(self, name: str, labels: Mapping[str, str]) -> Any:
        key = (name, *labels.values())
        child = self._children.get(key)
        return self._new(name, labels, key) if child is None else child

    def _new(self, name: str, labels: Mapping[str, str], key: tuple[str, ...]) -> Any:
        metric, names = self._made[name], FAMILIES[name].labels
        if tuple(labels) != names:
            raise ValueError(f"the labels of {name} are {names}, in this order, not {tuple(labels)}")
        if not names:
            child = metric
        elif self._sizes.get(name, 0) >= MAX_CHILDREN:
            return metric.labels(*(OTHER for _ in names))
        else:
            self._sizes[name] = self._sizes.get(name, 0) + 1
            child = metric.labels(**labels)
        self._children[key] = child
        return child


class _Fixed(CollectorRegistry):
    """Metrics that were read already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__(auto_describe=False)
        self.register(_Collected(metrics))


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _make(family: Family, registry: CollectorRegistry) -> Any:
    name = PREFIX + family.name
    if family.kind is Kind.COUNTER:
        return Counter(name, family.help, family.labels, registry=registry)
    return Histogram(name, family.help, family.labels, registry=registry, buckets=family.buckets)


def _gauge(family: Family, read: Read) -> Metric | None:
    try:
        found = read()
    except Exception:  # noqa: BLE001 - a broken probe must not hide all the others
        return None
    values = found if isinstance(found, Mapping) else {"": found}
    metric = GaugeMetricFamily(PREFIX + family.name, family.help, labels=family.labels)
    for label, value in values.items():
        metric.add_metric([label] if family.labels else [], float(value))
    return metric
