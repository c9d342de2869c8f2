"""The one door through which database errors leave this package.

A driver's message may quote the row it complains about; only its classification and, where
no value can be part of it, its first line go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from orchestrator.domain.errors import (
    ConfigurationError,
    Conflict,
    MalformedPayload,
    OrchestratorError,
    PermanentError,
    TransientError,
)


class Overtaken(TransientError):
    """Two transactions got in each other's way; this one was undone and may run again at once."""


# PostgreSQL, appendix A: error classes are the first two characters of SQLSTATE.
_AGAIN = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_TRANSIENT = ("08", "25006", "53", "55P03", "57", "58")
_MALFORMED = "22"
_CONFLICT = "23"
_MISSING = frozenset({"3D000", "28000", "28P01"})  # no such database, not let in

# https://www.sqlite.org/rescode.html
_SQLITE_TRANSIENT = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_NOMEM",
    "SQLITE_PROTOCOL",
)
_SQLITE_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def failures_translated() -> Iterator[None]:
    """Let only the errors of `domain.errors` pass."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error, psycopg.Error, UnicodeEncodeError) as error:
        raise translated(error) from None


def translated(error: Exception) -> OrchestratorError | ConfigurationError:
    """Our word for an error of SQLAlchemy or of a driver."""
    cause = error.orig if isinstance(error, exc.StatementError) else error
    match cause:
        case psycopg.Error(sqlstate=str(state)):
            return _of_postgresql(state, cause.diag.message_primary or "")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return TransientError(f"the database cannot be reached ({_first_line(cause)})")
        case psycopg.DataError():
            return MalformedPayload("a value has no place in the database")
        case OrchestratorError():
            return cause
        case sqlite3.Error():
            return _of_sqlite(getattr(cause, "sqlite_errorname", ""), cause)
        case ValueError() | TypeError() | OverflowError():
            return MalformedPayload(f"a value cannot be stored: {type(cause).__name__}")
        case exc.TimeoutError():
            return TransientError("every connection to the database is in use")
        case exc.DBAPIError(connection_invalidated=True):
            return TransientError("the connection to the database was lost")
        case _:
            return PermanentError(f"the database refused: {type(cause).__name__}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _of_postgresql(state: str, message: str) -> OrchestratorError | ConfigurationError:
    if state in _AGAIN:
        return Overtaken(f"overtaken by another transaction ({state})")
    if state in _MISSING:
        return ConfigurationError(f"ORCHESTRATOR_DATABASE_URL: {message}")
    if state.startswith(_TRANSIENT):
        return TransientError(f"the database is not available ({state}: {message})")
    if state.startswith(_MALFORMED):
        return MalformedPayload(f"a value has no place in the database ({state})")
    if state.startswith(_CONFLICT):
        return Conflict(f"somebody else was first ({state})")
    return PermanentError(f"the database refused ({state}: {message})")


def _of_sqlite(name: str, cause: sqlite3.Error) -> OrchestratorError | ConfigurationError:
    if name.startswith(_SQLITE_TRANSIENT):
        return TransientError(f"the database is not available ({name})")
    if name.startswith(_SQLITE_DAMAGED):
        return ConfigurationError(
            f"ORCHESTRATOR_DATABASE_URL: the file is no intact SQLite database ({name})"
        )
    if name.startswith("SQLITE_CONSTRAINT"):
        return Conflict(f"somebody else was first ({cause})")
    return PermanentError(f"the database refused ({name}: {cause})")
