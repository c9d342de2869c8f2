"""Words for a try that failed because of the way to a provider, not because of its message."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

FRESH: Final = timedelta(seconds=4)
"""A message whose first byte has not left by then goes back to the gate, because consent is looked
at again when more than five seconds lie between the decision and the first byte."""


class Trouble(StrEnum):
    """The `code` of a delivery that is to be tried again."""

    CONNECT = "connect"  # the provider cannot be reached
    CONFIGURATION = "configuration"  # a person has to mend a setting or an account
    DROPPED = "dropped"  # the connection broke off
    TIMEOUT = "timeout"  # no answer in time
    PROTOCOL = "protocol"  # an answer that cannot be understood
    LATE = "late"  # too long on the way to the provider: the gate looks again
    RESTING = "resting"  # left in peace after a failure
    CANCELLED = "cancelled"  # the process is stopping


AILING: Final = frozenset(
    {Trouble.CONNECT.value, Trouble.CONFIGURATION.value, Trouble.TIMEOUT.value}
)
"""Codes after which the next message would fare no better: the provider is left in peace."""
