"""A database with the newest schema, seen through the ports, once on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from orchestrator.domain.enrolments import NewEnrolment
from orchestrator.domain.events import ContactFields, IncomingEvent
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.identifiers import (
    ContactId,
    EnrolmentId,
    EventId,
    MessageId,
    VersionHash,
)
from orchestrator.domain.messages import NewMessage
from orchestrator.ports import NewEvent
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.expression_sql import register_functions
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.unit_of_work import SqlDatabase


class SteppingClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def step(self, by: timedelta) -> datetime:
        self.moment += by
        return self.moment


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def ids() -> UuidIds:
    return UuidIds()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(database_url, register_functions)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine: Engine, clock: SteppingClock, ids: UuidIds) -> Iterator[SqlDatabase]:
    database = SqlDatabase(engine, clock, ids, b"a key for tests")
    yield database
    database.close()


class World:
    """Rows to begin a test with, made through the repositories."""

    def __init__(self, database: SqlDatabase, clock: SteppingClock, ids: UuidIds) -> None:
        self.database = database
        self.clock = clock
        self.ids = ids

    def contact(self, email: str, **fields: Any) -> ContactId:
        with self.database.transaction() as unit:
            people = [ContactFields(email=email, **fields)]
            return unit.contacts.resolve(people, self.clock.now())[0].contact_id

    def new_run(self, contact_id: ContactId, **fields: Any) -> NewEnrolment:
        run = NewEnrolment(
            id=EnrolmentId(self.ids.new()),
            flow="cart",
            version=VersionHash("v1"),
            contact_id=contact_id,
            key="",
            entry=1,
            event_id=None,
            step=None,
            entered_at=self.clock.now(),
            due_at=self.clock.now(),
        )
        return replace(run, **fields)

    def run(self, contact_id: ContactId, **fields: Any) -> NewEnrolment:
        new = self.new_run(contact_id, **fields)
        with self.database.transaction() as unit:
            assert unit.enrolments.insert([new]) == {new.id}
        return new

    def new_message(self, run: NewEnrolment, **fields: Any) -> NewMessage:
        message = NewMessage(
            id=MessageId(self.ids.new()),
            enrolment_id=run.id,
            contact_id=run.contact_id,
            flow=run.flow,
            version=run.version,
            step="first",
            channel=Channel.EMAIL,
            template="cart/reminder",
            message_class=MessageClass.MARKETING,
            topic="offers",
            priority=50,
            not_before=self.clock.now(),
            expires_at=None,
        )
        return replace(message, **fields)

    def message(self, run: NewEnrolment, **fields: Any) -> NewMessage:
        new = self.new_message(run, **fields)
        with self.database.transaction() as unit:
            assert unit.messages.insert([new], self.clock.now()) == {new.id}
        return new

    def new_event(self, contact_id: ContactId | None, source_id: str, **fields: Any) -> NewEvent:
        kind = fields.pop("type", "order.placed")
        payload = fields.pop("payload", {})
        now = self.clock.now()
        incoming = IncomingEvent("shop", source_id, kind, now, None, payload)
        return NewEvent(EventId(self.ids.new()), contact_id, now, incoming, **fields)

    def event(self, contact_id: ContactId | None, source_id: str, **fields: Any) -> EventId:
        new = self.new_event(contact_id, source_id, **fields)
        with self.database.transaction() as unit:
            assert unit.events.insert([new]) == {new.id}
        return new.id


@pytest.fixture
def world(database: SqlDatabase, clock: SteppingClock, ids: UuidIds) -> World:
    return World(database, clock, ids)
