"""What must not be read in a log: addresses, tokens, secrets.

Redaction is the last resort and errs on the side of hiding; code does not log such things in
the first place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
TOKEN_PATHS: Final = ("u", "preferences", "confirm", "answer", "c", "o", "view", "login")
"""First path segments after which a token stands."""

_SECRET_KEY: Final = re.compile(
    r"password|passwd|secret|token|authorization|cookie|api_?key|signature|credential",
    re.IGNORECASE,
)
_PERSONAL_KEY: Final = re.compile(
    r"(^|_)(e?mail|phone|address|recipient|envelope_to|first_name|last_name)$", re.IGNORECASE
)
_WORD: Final = r"[^\s@\"'<>()\[\],;:=&?]"
_SHAPES: Final = (
    # SQLAlchemy appends a statement's values to its errors.
    (re.compile(r"\[parameters: .*?\](?=\n|$)", re.DOTALL), "[parameters: redacted]"),
    (re.compile(rf"(/(?:{'|'.join(TOKEN_PATHS)})/)[^\s\"'<>?#]+"), rf"\1{REDACTED}"),
    (re.compile(r"(\w://)[^\s/@\"']+@"), rf"\1{REDACTED}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\bwh(?:sec|pk|sk)_[\w+/=-]+"), REDACTED),
    (re.compile(rf"{_WORD}{{1,64}}(?:@|%40){_WORD}{{1,255}}"), "[email]"),
    (re.compile(r"(?:\+|%2B)\d[\d ().-]{5,20}\d", re.IGNORECASE), "[phone]"),
    # A national number; a UUID or a time has letters, points or hyphens beside its digits.
    (re.compile(r"(?<![\w.:-])0\d{7,14}(?![\w.:-])"), "[phone]"),
)


class Redactor:
    """Hides addresses, tokens and the given secrets in texts and in nested values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first, so that a secret within another leaves no rest.
        known = sorted({text for text in secrets if text}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """The text without what must not be read."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def value(self, value: Any, key: str = "") -> Any:
        """The value without what must not be read; `key` is the name it is logged under."""
        if value is None or isinstance(value, bool):
            return value
        if _SECRET_KEY.search(key) or _PERSONAL_KEY.search(key):
            return REDACTED
        if isinstance(value, int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): self.value(part, str(name)) for name, part in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(part) for part in value]
        return self.text(str(value))
