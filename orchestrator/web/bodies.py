"""Request bodies as raw bytes, never more than we want to hold."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

LARGEST_BODY: Final = 1024 * 1024
"""Bytes; more is answered 413."""
LONGEST_READ: Final = 30.0
"""Seconds a sender may take for its body."""

# Read on and thrown away, so that the sender gets to hear the answer.
_LARGEST_DISCARD: Final = 16 * LARGEST_BODY


class TooLarge(Exception):  # an outcome more than an error
    """The body is longer than `LARGEST_BODY`."""


class Incomplete(Exception):
    """The sender went away or stalled before the end."""


async def read_body(request: Request) -> bytes:
    """The whole body. Raises TooLarge or Incomplete; `content-length` is not trusted."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(LONGEST_READ):
            async for part in request.stream():
                size += len(part)
                if size <= LARGEST_BODY:
                    parts.append(part)
                elif size > _LARGEST_DISCARD:
                    break
    except (ClientDisconnect, TimeoutError):
        raise Incomplete from None
    if size > LARGEST_BODY:
        raise TooLarge
    return b"".join(parts)
