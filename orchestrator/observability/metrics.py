"""Figures for Prometheus, behind `ports.Metrics`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from orchestrator.ports import DueCounts

_logger = logging.getLogger(__name__)

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_PREFIX: Final = "orchestrator_"
_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Kind(StrEnum):
    """How a figure moves."""

    COUNTER = "counter"  # only up
    HISTOGRAM = "histogram"  # measurements in buckets
    GAUGE = "gauge"  # as it stands when asked


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure; no label ever holds something a customer or stranger can choose."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _FAST


METRICS: Final[dict[str, Metric]] = {
    "http_requests": Metric(
        Kind.COUNTER, "Requests answered, by first path segment and status.", ("route", "status")
    ),
    "http_request_seconds": Metric(
        Kind.HISTOGRAM, "Time from a request's head to the end of its answer.", ("route",)
    ),
    "webhooks_refused": Metric(
        Kind.COUNTER,
        "Webhooks not taken, by source and reason: not_authentic, unreadable, too_large, deferred.",
        ("source", "reason"),
    ),
    "events_received": Metric(
        Kind.COUNTER,
        "Authentic events by source and outcome: stored, duplicate.",
        ("source", "outcome"),
    ),
    "enrolments_ended": Metric(Kind.COUNTER, "Runs that are over, by reason.", ("reason",)),
    "enrolments_failed": Metric(
        Kind.COUNTER, "Runs whose step raised an error; they are tried again, then parked."
    ),
    "render_seconds": Metric(Kind.HISTOGRAM, "Time to render one message.", ("channel",)),
    "deliveries": Metric(
        Kind.COUNTER,
        "Messages handed to a provider, by its answer: sent, rejected, retry, postponed, unknown.",
        ("channel", "outcome"),
    ),
    "provider_rests": Metric(
        Kind.COUNTER,
        "Times a provider was left in peace: connect, timeout, configuration.",
        ("provider", "code"),
    ),
    "unsubscribes": Metric(
        Kind.COUNTER, "Opt-outs by link, by outcome: changed, already.", ("outcome",)
    ),
    "replies": Metric(
        Kind.COUNTER,
        "Answers to text messages: stop, start, help, unclear, text, duplicate.",
        ("intent",),
    ),
    "events_due": Metric(Kind.GAUGE, "Events that journeys have not heard yet."),
    "enrolments_due": Metric(Kind.GAUGE, "Runs whose time has come."),
    "messages_due": Metric(Kind.GAUGE, "Messages whose time has come."),
    "oldest_due_seconds": Metric(Kind.GAUGE, "How long the oldest due work has waited."),
}
"""Every figure by its name in code. Prometheus sees it with `orchestrator_` before it, a
counter with `_total` behind it."""


class PrometheusMetrics:
    """Implements `ports.Metrics` on a registry of its own.

    A name or label that is not in `METRICS` is logged and dropped: a figure must never be
    the reason why a message is not sent.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Gauge] = {}
        for name, metric in METRICS.items():
            self._add(name, metric)

    def _add(self, name: str, metric: Metric) -> None:
        full = _PREFIX + name
        labels, registry = metric.labels, self._registry
        match metric.kind:
            case Kind.COUNTER:
                self._counters[name] = Counter(full, metric.help, labels, registry=registry)
            case Kind.HISTOGRAM:
                self._histograms[name] = Histogram(
                    full, metric.help, labels, registry=registry, buckets=metric.buckets
                )
            case Kind.GAUGE:
                self._gauges[name] = Gauge(full, metric.help, labels, registry=registry)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter."""
        try:
            counter = self._counters[name]
            (counter.labels(**labels) if labels else counter).inc(amount)
        except (KeyError, ValueError):
            _logger.exception("a counter that does not exist: %s%s", name, tuple(labels))

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Record one measurement."""
        try:
            histogram = self._histograms[name]
            (histogram.labels(**labels) if labels else histogram).observe(value)
        except (KeyError, ValueError):
            _logger.exception("a measurement that does not exist: %s%s", name, tuple(labels))

    def exposition(self, due: DueCounts | None, now: datetime) -> bytes:
        """Everything in Prometheus' text format; `due` None leaves the waiting work out."""
        if due is not None:
            self._gauges["events_due"].set(due.events)
            self._gauges["enrolments_due"].set(due.enrolments)
            self._gauges["messages_due"].set(due.messages)
            waited = (now - due.oldest_due_at).total_seconds() if due.oldest_due_at else 0
            self._gauges["oldest_due_seconds"].set(max(waited, 0))
        return generate_latest(self._registry)
