"""One daemon per SQLite file, told by a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from orchestrator.domain.errors import ConfigurationError

PRIVATE: Final = 0o700
"""A folder made for people's data is for its owner alone."""


class AlreadyRunning(ConfigurationError):
    """Another daemon works on this database file."""


class DaemonLock:
    """Holds `<database>.lock` until it is closed or the process ends, however it ends.

    Raises AlreadyRunning if another process holds it, ConfigurationError if the file cannot
    be opened. The file itself stays: removing it would let two processes lock two files.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.lock")
        try:
            path.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be opened ({error.strerror})") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"{database}: another daemon is running on this database; stop it first, "
                "or give this one its own ORCHESTRATOR_DATABASE_URL"
            ) from None

    def close(self) -> None:
        """Let the next one in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
