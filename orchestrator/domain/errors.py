"""Errors, grouped by what the caller does next.

OrchestratorError
├── TransientError          try again later
│   └── RateLimited         ... after `retry_after`
├── PermanentError          trying again cannot help
│   ├── RecipientRejected   the address will not take messages
│   └── RenderFailed        a template cannot be rendered with this data
│       └── LintFailed      ... or what comes of it breaks a rule
├── VerificationError       the caller is not who it says it is
├── MalformedPayload        authentic or not, it cannot be read
├── NotFound                no such thing
└── Conflict                somebody else was first
ConfigurationError          outside the tree: a person has to mend a setting or a file
"""

from __future__ import annotations

from datetime import timedelta


class OrchestratorError(Exception):
    """Base of everything that can go wrong while running."""


class TransientError(OrchestratorError):
    """The same call may succeed later."""


class RateLimited(TransientError):
    """The other side asked for a pause."""

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(OrchestratorError):
    """The same call will never succeed."""


class RecipientRejected(PermanentError):
    """The provider refuses this recipient; `reason` is our word for it."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class RenderFailed(PermanentError):
    """A template and the data at hand do not fit together."""

    def __init__(self, template: str, line: int | None, message: str) -> None:
        place = template if line is None else f"{template}:{line}"
        super().__init__(f"{place}: {message}")
        self.template = template
        self.line = line
        self.message = message


class LintFailed(RenderFailed):
    """A message breaks a rule of docs/rules.md and must not be sent; `rule` is its number."""

    def __init__(self, template: str, rule: str, message: str) -> None:
        super().__init__(template, None, f"{message} ({rule})")
        self.rule = rule


class VerificationError(OrchestratorError):
    """A signature, token or credential is missing, wrong or stale."""


class MalformedPayload(OrchestratorError):
    """A body or field that cannot be read; the message names the place."""


class NotFound(OrchestratorError):
    """What was asked for does not exist."""


class Conflict(OrchestratorError):
    """A conditional write lost against another one."""


class ConfigurationError(Exception):
    """A setting, file or database state a person has to mend; names it and the remedy."""
