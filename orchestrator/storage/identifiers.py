"""Where new identities come from."""

from __future__ import annotations

import uuid_utils


class UuidIds:
    """UUIDv7 (RFC 9562 section 5.7): ordered by time, so that new rows lie side by side."""

    def new(self) -> str:
        """A new identity in canonical text form, greater than every earlier one of this process."""
        return str(uuid_utils.uuid7())
