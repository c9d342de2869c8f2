"""Structured logs on standard error: JSON for machines, plain lines on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator.observability.redaction import Redactor

_QUIETER = (
    "alembic",
    "apscheduler",
    "asyncio",
    "httpx",
    "httpcore",
    "twilio",
    "uvicorn",
)
"""Libraries that tell at INFO what is of no interest here."""


def configure_logging(
    *,
    secrets: Iterable[str] = (),
    level: str = "INFO",
    as_json: bool | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send every log record of the process to `stream` (standard error), redacted.

    Call it once, first of all. Records of the standard library's `logging` and of structlog
    come out alike; `extra={...}` becomes fields. By default lines are JSON unless `stream`
    is a terminal.
    """
    stream = sys.stderr if stream is None else stream
    as_json = not stream.isatty() if as_json is None else as_json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _Redaction(Redactor(secrets)),
                _renderer(as_json=as_json, stream=stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIETER:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _renderer(*, as_json: bool, stream: TextIO) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
        timestamp_key="at",
        pad_event_to=0,
        pad_level=False,
    )


class _Redaction:
    """The last processor before rendering: nothing is added after it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, logger: WrappedLogger, name: str, fields: EventDict) -> EventDict:
        """Redact every field, the exception's text included."""
        del logger, name
        return {key: self._redactor.value(value, key) for key, value in fields.items()}
