"""Telephone numbers as people write them."""

from __future__ import annotations

from typing import Protocol


class PhoneNumbers(Protocol):
    """Reads telephone numbers."""

    def __call__(self, text: str, region: str | None) -> str | None:
        """The number in E.164 form (`+358401234567`), or None if it cannot take messages.

        `region` (ISO 3166 code) is the country of numbers written without one.
        """
        ...
