"""What this process counts, and the exposition of /metrics: counters from here, gauges from whoever computes them.

One registry for each app, never the library's global one.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.web.doors import Gauge, Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one web process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "trackside_deliveries", "Webhook requests, by what became of them.", ["outcome"], registry=self.registry
        )
        self.requests = Counter(
            "trackside_requests",
            "Requests but for webhooks, by door and status.",
            ["door", "status"],
            registry=self.registry,
        )
        self.claims = Counter(
            "trackside_claims",
            "Answered claims of workers: given, nothing or drained.",
            ["answer"],
            registry=self.registry,
        )

    def expose(self, gauges: Sequence[Gauge | Tally]) -> bytes:
        """The text of /metrics."""
        computed = CollectorRegistry()
        computed.register(_Computed(gauges))
        return generate_latest(self.registry) + generate_latest(computed)


class _Computed(Collector):
    def __init__(self, gauges: Sequence[Gauge | Tally]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        for gauge in self._gauges:
            if isinstance(gauge, Tally):
                counter = CounterMetricFamily(f"trackside_{gauge.name}", gauge.meaning, labels=gauge.labels)
                for words, total in gauge.values.items():
                    counter.add_metric(words, total)
                yield counter
                continue
            labels = [gauge.label] if gauge.label else []
            family = GaugeMetricFamily(f"trackside_{gauge.name}", gauge.meaning, labels=labels)
            for label, value in gauge.values.items():
                family.add_metric([label] if gauge.label else [], value)
            yield family
