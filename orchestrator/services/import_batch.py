"""One transaction of an import: people found or made, the rows' record, their consent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.consent import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentEvidence,
    ConsentState,
    Standing,
    jurisdiction_of,
    lapses_at,
    needs_confirmation,
    permission,
)
from orchestrator.domain.contacts import Contact
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, EventId
from orchestrator.ports import Ids, NewEvent, UnitOfWork
from orchestrator.services.contact_rows import Answer, ContactRow
from orchestrator.services.import_plan import ImportPlan, Summary

SOURCE: Final = "import"
EVENT_TYPE: Final = "contact.imported"
"""The record of an imported row; no journey starts from it."""
_CONFIRMED_ELSEWHERE: Final = frozenset({"double_opt_in", "confirmed_opt_in", "doi"})
_TOLD: Final = ("email", "phone", "first_name", "last_name", "locale", "timezone", "country")
_REFUSED: Final = (Standing.WITHDRAWN, Standing.OBJECTED)


class ImportBatch:
    """The rows of one transaction."""

    def __init__(self, uow: UnitOfWork, plan: ImportPlan, ids: Ids, now: datetime) -> None:
        self._uow = uow
        self._plan = plan
        self._ids = ids
        self._now = now
        self._summary = Summary()

    def write(self, batch: Sequence[ContactRow]) -> Summary:
        """Store the rows that are not known yet, with all that follows."""
        rows = self._fresh(batch)
        if not rows:
            return self._summary
        found = self._uow.contacts.resolve([row.person for row in rows], self._now)
        ids = [one.contact_id for one in found]
        people = self._uow.contacts.lock(ids)
        changes = self._changes(rows, ids, people)
        self._uow.contacts.update(changes, self._now)
        people = {**people, **self._uow.contacts.load(changes)}
        created = {one.contact_id for one in found if one.created}
        self._summary.created += len(created)
        self._summary.updated += len(changes.keys() - created)
        self._summary.imported += len(rows)
        self._record(rows, ids)
        self._consent(rows, ids, people)
        self._summary.suppressed += len(self._uow.suppressions.find(_addresses(people.values())))
        return self._summary

    def _fresh(self, batch: Sequence[ContactRow]) -> list[ContactRow]:
        known = self._uow.events.known((SOURCE, row.key) for row in batch)
        rows: dict[str, ContactRow] = {}
        for row in batch:
            if (SOURCE, row.key) not in known:
                rows.setdefault(row.key, row)
        self._summary.known += len(batch) - len(rows)
        return list(rows.values())

    def _changes(
        self,
        rows: Sequence[ContactRow],
        ids: Sequence[ContactId],
        people: Mapping[ContactId, Contact],
    ) -> dict[ContactId, dict[str, Any]]:
        """Columns that the file knows better: what it says wins, what it leaves out stays."""
        changes: dict[ContactId, dict[str, Any]] = {}
        for row, contact_id in zip(rows, ids, strict=True):
            person = people[contact_id]
            told = {name: getattr(row.person, name) for name in _TOLD}
            new: dict[str, Any] = {
                name: value
                for name, value in told.items()
                if value is not None and value != getattr(person, name)
            }
            before = changes.get(contact_id, {})
            attributes = before.get("attributes", person.attributes)
            if more := {**attributes, **row.person.attributes}:
                new |= {"attributes": more} if more != attributes else {}
            tags = before.get("tags", list(person.tags))
            if fresh := [tag for tag in row.tags if tag not in tags]:
                new["tags"] = [*tags, *fresh]
            if new:
                changes[contact_id] = {**before, **new}
        return changes

    def _record(self, rows: Sequence[ContactRow], ids: Sequence[ContactId]) -> None:
        """One event a row, heard by no journey: where the person's record came from."""
        self._uow.events.insert(
            [
                NewEvent(
                    id=EventId(self._ids.new()),
                    contact_id=contact_id,
                    received_at=self._now,
                    event=IncomingEvent(
                        source=SOURCE,
                        source_id=row.key,
                        type=EVENT_TYPE,
                        occurred_at=self._now,
                        contact=row.person,
                        payload={
                            "data": {
                                "file": self._plan.file.path.name,
                                "line": row.line,
                                "source": row.source,
                                "method": row.method,
                            }
                        },
                    ),
                    processed=True,
                )
                for row, contact_id in zip(rows, ids, strict=True)
            ]
        )

    def _consent(
        self,
        rows: Sequence[ContactRow],
        ids: Sequence[ContactId],
        people: Mapping[ContactId, Contact],
    ) -> None:
        states = self._uow.consents.states(set(ids))
        entries: list[ConsentEntry] = []
        for row, contact_id in zip(rows, ids, strict=True):
            for answer in row.answers:
                made = self._entries(row, answer, people[contact_id], states[contact_id])
                self._count(answer, made)
                entries += made
        self._uow.consents.append(entries, self._now)

    def _count(self, answer: Answer, made: Sequence[ConsentEntry]) -> None:
        actions = {entry.action for entry in made}
        self._summary.withdrawn += ConsentAction.WITHDRAWN in actions
        self._summary.requested += ConsentAction.REQUESTED in actions
        self._summary.granted += ConsentAction.GRANTED in actions
        wanted = 1 if answer.withdrawn else len(answer.topics)
        self._summary.kept_refusals += len(made) < wanted

    def _entries(
        self, row: ContactRow, answer: Answer, person: Contact, states: Sequence[ConsentState]
    ) -> list[ConsentEntry]:
        """One entry a topic, all with the same proof."""
        channel = answer.channel
        if answer.withdrawn:
            topics, action = [ALL_TOPICS], ConsentAction.WITHDRAWN
        else:
            country, _ = jurisdiction_of(person)
            unconfirmed = row.method not in _CONFIRMED_ELSEWHERE and needs_confirmation(
                country, self._plan.book.brand.double_opt_in
            )
            action = ConsentAction.REQUESTED if unconfirmed else ConsentAction.GRANTED
            dated = row.given_at is not None
            topics = [
                one for one in answer.topics if dated or not self._refused(states, channel, one)
            ]
        details, personal = self._evidence(row, answer, person).split()
        return [
            ConsentEntry(
                contact_id=person.id,
                channel=channel,
                topic=topic,
                action=action,
                legal_basis=row.basis,
                method=row.method or "import",
                occurred_at=row.given_at or self._now,
                details=details,
                personal=personal,
                unless_known=not answer.withdrawn,
            )
            for topic in topics
        ]

    def _refused(self, states: Sequence[ConsentState], channel: Channel, topic: str) -> bool:
        """Whether the person said no: a consent of unknown age may be older than that."""
        return permission(states, channel, topic, self._now).standing in _REFUSED

    def _evidence(self, row: ContactRow, answer: Answer, person: Contact) -> ConsentEvidence:
        country, known_by = jurisdiction_of(person)
        ends = None if answer.withdrawn else lapses_at(row.basis, row.given_at or self._now)
        return ConsentEvidence(
            actor=Actor.IMPORT,
            collection_point=row.source or "import",
            controller=self._plan.book.brand.legal_name.default,
            jurisdiction=country,
            jurisdiction_from=known_by,
            evidence=f"import {row.key}, line {row.line} of {self._plan.file.digest[:16]}",
            expires_at=ends,
            reason=None if row.given_at else "the file does not say when; dated by the import",
            person_key=row.person.id,
            address_given=row.given.get("email" if answer.channel is Channel.EMAIL else "phone"),
            address=person.address(answer.channel),
            wording=row.evidence.get("wording"),
            wording_locale=row.evidence.get("wording_locale"),
            ip=row.evidence.get("ip"),
            user_agent=row.evidence.get("user_agent"),
            agent=row.evidence.get("agent"),
        )


def _addresses(people: Iterable[Contact]) -> list[tuple[Channel, str]]:
    return [
        (channel, address)
        for person in people
        for channel in Channel
        if (address := person.address(channel))
    ]
