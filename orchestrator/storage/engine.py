"""Engines for the two databases, set up so that what was committed survives a power cut."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from orchestrator.domain.errors import ConfigurationError
from orchestrator.storage.json_text import json_text, read_json

BUSY_SECONDS: Final = 5
"""How long SQLite waits for another process's lock."""
CONNECTIONS: Final = 8
READ_ONLY: Final = "orchestrator_read_only"
"""Execution option of connections that only read."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32000",  # KiB
)

RESTED_SECONDS: Final = 1.0
"""After so long in the pool a PostgreSQL connection is asked whether it is alive."""
_RESTS_SINCE: Final = "orchestrator_rests_since"

OnConnect = Callable[[sqlite3.Connection], None]


def create_engine_for(url: str, on_connect: OnConnect | None = None) -> Engine:
    """An engine for `sqlite:///path/file.db` or `postgresql://user@host/database`.

    `on_connect` is called with every new SQLite connection, to register functions.
    Raises ConfigurationError for any other address; the message never holds the address,
    which may carry a password.
    """
    address = parse_url(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite(address, on_connect)
    return _postgresql(address)


def parse_url(url: str) -> URL:
    """The address as SQLAlchemy takes it, with the driver this program brings."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise _unfit("it is no address") from None
    match address.drivername:
        case "sqlite":
            if address.database in (None, "", ":memory:"):
                raise _unfit("a database in memory forgets everything")
            return address.set(drivername="sqlite+pysqlite")
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return address.set(drivername="postgresql+psycopg")
        case other:
            raise _unfit(f"{other} is not supported")


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite address; None for PostgreSQL."""
    address = parse_url(url)
    return Path(address.database or "") if address.get_backend_name() == "sqlite" else None


def _unfit(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"ORCHESTRATOR_DATABASE_URL: {why}; write sqlite:///var/orchestrator.db "
        "or postgresql://user@host/database"
    )


def _common() -> dict[str, Any]:
    return {
        "json_serializer": json_text,
        "json_deserializer": read_json,
        "hide_parameters": True,  # errors are logged, and parameters are people's data
    }


def _sqlite(address: URL, on_connect: OnConnect | None) -> Engine:
    file = Path(address.database or "")
    folder = file.parent
    if file.is_dir():
        raise _unfit(f"{file} is a folder, not a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unfit(f"the folder {folder} cannot be made ({error.strerror})") from None
    engine = create_engine(
        address, connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS}, **_common()
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if on_connect is not None:
            on_connect(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock before it reads: it can never find that it read too early.
        reading = connection.get_execution_options().get(READ_ONLY, False)
        # Said to the driver itself: through SQLAlchemy the two cost more than a short transaction.
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        state = connection.connection.info
        if state.get(READ_ONLY) != reading:
            driver.execute(f"PRAGMA query_only = {int(reading)}")
            state[READ_ONLY] = reading
        driver.execute("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _ping_when_rested(engine: Engine) -> None:
    """Ask a connection that has rested whether it is alive, before it is used.

    SQLAlchemy's `pool_pre_ping` asks before each transaction, and most of ours are as short as
    the question. One that has died within the second fails its transaction, as it would in the
    midst of it, and SQLAlchemy then replaces all that the pool holds.
    """

    @event.listens_for(engine, "checkin")
    def _rest(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        rested = time.monotonic() - record.info.get(_RESTS_SINCE, math.inf)
        if rested > RESTED_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error


_LIVELINESS: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
}
"""libpq's words for noticing a host that is gone without a word: by the system's own settings
work would stand still for a quarter of an hour, or two hours. One that only takes long answers."""


def _liveliness(address: URL) -> dict[str, int]:
    """What the operator's own address leaves unsaid."""
    return {name: value for name, value in _LIVELINESS.items() if name not in address.query}


def _postgresql(address: URL) -> Engine:
    engine = create_engine(
        address,
        # No prepared statements: PgBouncer in transaction mode changes the session underneath.
        connect_args={"prepare_threshold": None, "connect_timeout": 5, **_liveliness(address)},
        isolation_level="READ COMMITTED",
        pool_size=CONNECTIONS,
        pool_timeout=10,
        **_common(),
    )
    _ping_when_rested(engine)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(READ_ONLY):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine
