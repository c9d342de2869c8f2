"""How far one HTTP request to a provider has come: what decides whether it can have arrived.

The class of an exception does not tell it: when a write fails, httpx goes on and reads, because a
server may answer before it hangs up, and what is raised then is an error of reading. httpcore's
trace, which httpx passes on, does.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import httpx

from orchestrator.channels.trouble import FRESH, Trouble
from orchestrator.observability.redaction import Redactor
from orchestrator.ports import Delivery, DeliveryOutcome

LONGEST_DETAIL: Final = 200

_REDACTOR: Final = Redactor()
_LEAVES: Final = "http11.send_request_headers.started"
_HAS_LEFT: Final = "http11.send_request_body.complete"


class CalledOff(Exception):
    """The request is not to leave any more; nothing of it has."""


class Stage(IntEnum):
    """How far a request has come."""

    OPENING = 0  # no byte has left
    WRITING = 1  # some have, the last one has not
    WRITTEN = 2  # all have: from here on silence is doubt


class Exchange:
    """One request, made on a thread of its own and watched from another.

    Its first byte leaves within `FRESH` of `began` (monotonic seconds), or not at all.
    """

    def __init__(self, began: float) -> None:
        self._latest = began + FRESH.total_seconds()
        self._lock = threading.Lock()
        self._called_off = False
        self.stage = Stage.OPENING

    @property
    def late(self) -> bool:
        """Whether consent would have to be looked at again before the first byte."""
        return time.monotonic() > self._latest

    def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """What httpcore calls at each turn. Raises CalledOff instead of letting bytes leave."""
        if event == _LEAVES:
            with self._lock:
                if self._called_off or self.late:
                    raise CalledOff
                self.stage = Stage.WRITING
        elif event == _HAS_LEFT:
            self.stage = Stage.WRITTEN

    def call_off(self) -> bool:
        """Keep the request from leaving; False if some of it may have left already."""
        with self._lock:
            self._called_off = True
            return self.stage is Stage.OPENING

    def broken_off(self, error: Exception) -> Delivery:
        """What a request that ended without an answer means for its message."""
        trouble = _trouble(error, self.stage)
        written = self.stage is Stage.WRITTEN
        outcome = DeliveryOutcome.UNKNOWN if written else DeliveryOutcome.RETRY
        return Delivery(outcome, code=trouble.value, detail=_detail(error))


def is_certificate_refused(error: BaseException | None) -> bool:
    """Whether a connection was not made because the other side's certificate does not hold."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _detail(error: Exception) -> str:
    """One printable line without addresses of people."""
    if isinstance(error, CalledOff):
        return "getting a connection took long"
    line = _REDACTOR.text(" ".join(f"{type(error).__name__} {error}".split()))
    return "".join(letter for letter in line if letter.isprintable())[:LONGEST_DETAIL]


def _trouble(error: Exception, stage: Stage) -> Trouble:
    if stage is Stage.OPENING and isinstance(error, httpx.TransportError | CalledOff):
        return Trouble.CONNECT  # taking long counts: the message would get there too late
    if isinstance(error, httpx.TimeoutException):
        return Trouble.TIMEOUT
    if isinstance(error, httpx.NetworkError):
        return Trouble.DROPPED
    return Trouble.PROTOCOL
