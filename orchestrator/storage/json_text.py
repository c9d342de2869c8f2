"""JSON as it is stored: compact, sorted, readable, and never refused by a database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from orchestrator.domain.errors import MalformedPayload

_decoder: Final = json.JSONDecoder(parse_float=Decimal)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def json_text(value: Any) -> str:
    """The text of a value: keys sorted, no spaces, Decimal as plain digits in quotes.

    NUL and lone surrogates become U+FFFD: PostgreSQL's jsonb and UTF-8 have no place for
    them. Raises MalformedPayload for NaN and infinities (RFC 8259 section 6 knows none) and for
    what nests too deep, TypeError for what JSON cannot say.
    """
    try:
        text = _encoder.encode(value)
    except (ValueError, RecursionError):
        raise MalformedPayload("a value has no form in JSON") from None
    if "\\u0000" in text or not _is_utf8(text):
        return _encoder.encode(_clean(value))
    return text


def read_json(text: str | bytes) -> Any:
    """The value of a stored text; numbers with a fraction are exact."""
    if text == "{}":
        return {}
    if text == "[]":
        return []
    # What a database gives back has been valid JSON since it was written, and nothing around it.
    return _decoder.raw_decode(text if isinstance(text, str) else text.decode())[0]


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


_encoder: Final = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
    default=_plain,
)


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean(value: Any) -> Any:
    match value:
        case str():
            text = value.replace("\0", _REPLACEMENT)
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case Mapping():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value
