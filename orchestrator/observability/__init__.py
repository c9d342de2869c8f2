"""Logs that show no address and no secret, and figures for Prometheus."""

from __future__ import annotations

from orchestrator.observability.logs import configure_logging
from orchestrator.observability.metrics import CONTENT_TYPE, METRICS, PrometheusMetrics
from orchestrator.observability.redaction import REDACTED, TOKEN_PATHS, Redactor

__all__ = [
    "CONTENT_TYPE",
    "METRICS",
    "REDACTED",
    "TOKEN_PATHS",
    "PrometheusMetrics",
    "Redactor",
    "configure_logging",
]
