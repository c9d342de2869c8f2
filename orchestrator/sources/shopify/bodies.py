"""Finding one's way in a body in which anything may be missing or of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


def part(body: Body, *names: str) -> Body:
    """The object under these names; an empty one if there is none."""
    for name in names:
        inner = body.get(name)
        if not isinstance(inner, dict):
            return {}
        body = inner
    return body


def parts(body: Body, name: str) -> list[Body]:
    """The objects of a list; what is no object is passed over."""
    found = body.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def first(*values: Any) -> Any:
    """The first that says something: neither null nor an empty text."""
    return next((value for value in values if value is not None and value != ""), None)


def without_nothing(values: Body) -> dict[str, Any]:
    """What says something: Shopify spells out every field it has no value for."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value not in ("", [], {})
    }
