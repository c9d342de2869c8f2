"""What must hold when everything is at rest: the database's word against the sink's."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update

from orchestrator.storage.tables import contact, enrolment, event, message
from tests.kill.crowd import Customer

UNSETTLED = ("queued", "held", "sending")
SLACK = timedelta(milliseconds=100)
"""By how much the clocks of the database and of this process may differ."""


@dataclass
class Book:
    """What the sink wrote: how often it kept each message, and which it left unanswered."""

    kept: Counter[str] = field(default_factory=Counter)
    unanswered: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    """Whose sender was gone when the answer was ready."""
    given_at: dict[str, float] = field(default_factory=dict)
    """When it was given each of them first, by its own clock; seconds since 1970."""
    asked_again: int = 0

    @classmethod
    def read(cls, file: Path) -> Book:
        book = cls()
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if entry.get("cut"):
                book.cut.add(entry["id"])
                continue
            book.given_at.setdefault(entry["id"], entry["at"])
            book.kept[entry["id"]] += entry["kept"]
            book.asked_again += entry["answer"] == "again"
            if entry["answer"] == "none":
                book.unanswered.add(entry["id"])
        return book


def at_rest(engine: Engine) -> bool:
    """Nothing waits, but for runs whose message is in doubt."""
    with engine.connect() as connection:
        return not (_waiting(connection) or _unheard(connection) or _moving(connection))


def only_doubt_is_left(engine: Engine) -> bool:
    """The same, but that messages are `sending`: whose process may be dead."""
    with engine.connect() as connection:
        return not (
            _waiting(connection, UNSETTLED[:2]) or _unheard(connection) or _moving(connection)
        )


def _waiting(connection: Connection, states: tuple[str, ...] = UNSETTLED) -> int:
    waiting = select(func.count()).where(message.c.state.in_(states))
    return connection.scalars(waiting).one()


def _unheard(connection: Connection) -> int:
    return connection.scalars(select(func.count()).where(event.c.processed_at.is_(None))).one()


def _moving(connection: Connection) -> int:
    """Live runs that do not stand at a message in doubt, or one still being sent."""
    doubtful = select(message.c.enrolment_id).where(
        message.c.state.in_(["unknown", "sending"]), message.c.step == enrolment.c.step
    )
    moving = select(func.count()).where(
        enrolment.c.ended_at.is_(None), enrolment.c.id.not_in(doubtful)
    )
    return connection.scalars(moving).one()


def let_doubt_ripen(engine: Engine, by: timedelta) -> int:
    """Put back the ends of the leases of messages that are `sending`: as good as waiting."""
    with engine.begin() as connection:
        rows = connection.execute(
            select(message.c.id, message.c.lease_until).where(message.c.state == "sending")
        ).all()
        for row in rows:
            connection.execute(
                update(message)
                .where(message.c.id == row.id, message.c.state == "sending")
                .values(lease_until=row.lease_until - by)
            )
    return len(rows)


@dataclass
class Verdict:
    """Every message and person of a run of the test."""

    messages: list[dict[str, Any]]
    runs: dict[str, list[dict[str, Any]]]
    """By email address."""
    events: Counter[str]
    parked: int
    """Events and runs that were put aside."""
    book: Book

    @classmethod
    def read(cls, engine: Engine, file: Path) -> Verdict:
        with engine.connect() as connection:
            people = connection.execute(select(contact.c.id, contact.c.email))
            emails: dict[str, str | None] = {row.id: row.email for row in people}
            messages = [dict(row) for row in connection.execute(select(message)).mappings()]
            runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for row in connection.execute(select(enrolment)).mappings():
                runs[emails[row["contact_id"]] or ""].append(dict(row))
            events = Counter(connection.scalars(select(event.c.source_id)))
            parked = sum(
                connection.scalars(select(func.count()).where(table.c.parked_at.is_not(None))).one()
                for table in (event, enrolment)
            )
        for one in messages:
            one["email"] = emails[one["contact_id"]]
        return cls(messages, dict(runs), events, parked, Book.read(file))

    def doubtful(self) -> set[str]:
        return {one["id"] for one in self.messages if one["state"] == "unknown"}

    def summary(self) -> str:
        states = Counter(one["state"] for one in self.messages)
        crashes = len(self.doubtful() - self.book.unanswered)
        return (
            f"messages: {dict(states)}; taken twice: {self.doubled()}; "
            f"in doubt by crashes: {crashes}, of these {len(self.book.cut)} seen by the sink; "
            f"asked again by the sink: {self.book.asked_again}"
        )

    def doubled(self) -> int:
        return sum(1 for times in self.book.kept.values() if times > 1)

    def check_delivery(self, connections: int, killed: int) -> None:
        """Sent: once; unknown: once at most, and few; anything else: never."""
        allowed = {"sent": {1}, "unknown": {0, 1}}
        wrong = [
            (one["id"], one["state"], self.book.kept[one["id"]])
            for one in self.messages
            if self.book.kept[one["id"]] not in allowed.get(one["state"], {0})
        ]
        assert wrong == []
        strangers = set(self.book.kept) - {one["id"] for one in self.messages}
        assert strangers == set()
        unsettled = [one["id"] for one in self.messages if one["state"] in UNSETTLED]
        assert unsettled == []
        assert self.parked == 0
        assert self.book.unanswered | self.book.cut <= self.doubtful()
        assert len(self.doubtful() - self.book.unanswered) <= connections * killed

    def check_webhooks(self, acknowledged: Mapping[str, datetime]) -> None:
        """Each webhook answered 200 is there, once."""
        assert {name: self.events[name] for name in acknowledged if self.events[name] != 1} == {}

    def check_people(self, crowd: list[Customer]) -> None:
        """Everybody has exactly one run, and what is due in it or a reason why not."""
        messages: dict[str, dict[str, Any]] = defaultdict(dict)
        for one in self.messages:
            assert one["step"] not in messages[one["email"]], one
            messages[one["email"]][one["step"]] = one
        for person in crowd:
            (run,) = self.runs[person.email]
            self._check_person(person, run, messages[person.email])

    @staticmethod
    def _check_person(person: Customer, run: dict[str, Any], sent: dict[str, Any]) -> None:
        outcome: dict[str, tuple[str, str | None]] = {
            step: (one["state"], one["reason"]) for step, one in sent.items()
        }
        told = (person, run, outcome)
        doubtful: tuple[str, str | None] = ("unknown", None)
        refused = ("not_sent", "no_consent")
        fine = {("sent", None), doubtful} if person.consents else {refused}
        if person.left_at is not None:
            fine.add(("cancelled", "exited") if person.orders else refused)
        assert set(outcome.values()) <= fine, told
        if run["ended_at"] is None:
            assert outcome.get(run["step"]) == doubtful, told
        elif run["end_reason"] == "completed":
            assert set(outcome) == {"first", "second"}, told
        else:
            assert (run["end_reason"], person.orders) == ("exited", True), told
        if person.left_at is not None:
            begun = [one["sending_at"] for one in sent.values() if one["sending_at"]]
            assert [moment for moment in begun if moment > person.left_at + SLACK] == [], told
