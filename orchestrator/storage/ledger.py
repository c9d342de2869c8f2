"""The consent ledger in the database: chains, their fold, erasure and signed checkpoints."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, tuple_, update

from orchestrator.domain.consent import (
    SALT_BYTES,
    Checkpoint,
    ConsentEntry,
    ConsentState,
    LedgerRecord,
    States,
    VerifyReport,
    carried_refusals,
    fold,
    is_known,
    record_after,
)
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.ports.ledger import CheckpointSigner
from orchestrator.storage import ledger_checkpoints, ledger_verify
from orchestrator.storage.batches import inserting, listed, listing, takes_locks, upserting
from orchestrator.storage.ledger_rows import BATCH, record_of, rows_of, state_of, survivors
from orchestrator.storage.tables import consent_record, consent_state, consent_subject

_ROUNDS: Final = 3
"""How often a contact may be merged while its chain is waited for."""
_FOLDED: Final = [
    column
    for column in consent_record.c
    if column.name not in ("personal", "salt", "commitment", "previous", "hash", "redacted_at")
]
_LOCKED_SUBJECTS: Final = select(consent_subject).order_by(consent_subject.c.id).with_for_update()
_TO_FOLD: Final = select(consent_subject.c.contact_id, *_FOLDED).join(
    consent_record, consent_record.c.subject_id == consent_subject.c.id
)


_NEW_RECORD: Final = insert(consent_record)
_GROWN_SUBJECT: Final = update(consent_subject).where(
    consent_subject.c.id == bindparam("of_id"), consent_subject.c.shard == bindparam("of_shard")
)
_STATE_KEY: Final = tuple(column.name for column in consent_state.primary_key)
_STATE_SAID: Final = (
    "status",
    "legal_basis",
    "subject_id",
    "seq",
    "changed_at",
    "expires_at",
)


@cache
def _states_of(dialect: str) -> Select[Any]:
    mine = select(consent_state).where(listed(dialect, consent_state.c.contact_id))
    return mine.order_by(consent_state.c.channel, consent_state.c.topic)


def _new_salt() -> str:
    return secrets.token_hex(SALT_BYTES)


class SqlConsents:
    """`ports.Consents` on a connection inside a transaction."""

    def __init__(self, connection: Connection, new_salt: Callable[[], str] = _new_salt) -> None:
        self._connection = connection
        self._new_salt = new_salt

    def append(self, entries: Sequence[ConsentEntry], now: datetime) -> list[ConsentState]:
        """Extend the chains under their subjects' locks and write what follows."""
        if not entries:
            return []
        owners, heads = self._lock_owners({entry.contact_id for entry in entries})
        entries = [_owned(entry, owners[entry.contact_id]) for entry in entries]
        stored = self.states(set(owners.values()))
        news = self._news(entries, stored)
        if not news:
            return []
        self._extend(news, heads, now)
        return self._write_fold(sorted({entry.contact_id for entry in news}), stored)

    def states(self, ids: Iterable[ContactId]) -> dict[ContactId, list[ConsentState]]:
        """The current states of contacts."""
        found: dict[ContactId, list[ConsentState]] = {contact_id: [] for contact_id in ids}
        dialect = self._connection.dialect.name
        wanted = {"ids": listing(dialect, consent_state.c.contact_id, found)}
        for row in self._connection.execute(_states_of(dialect), wanted).all():
            state = state_of(row)
            found[state.contact_id].append(state)
        return found

    def records(self, contact_id: ContactId) -> list[LedgerRecord]:
        """Every record of every subject of a contact, oldest first."""
        statement = (
            select(consent_record)
            .join(consent_subject, consent_subject.c.id == consent_record.c.subject_id)
            .where(consent_subject.c.contact_id == contact_id)
        )
        records = [record_of(row) for row in self._connection.execute(statement)]
        return sorted(records, key=lambda r: (r.occurred_at, r.recorded_at, r.seq, r.subject_id))

    def refold(self, ids: Iterable[ContactId], now: datetime) -> list[ConsentState]:
        """Compute the states anew: obligatory for the kept contact after a merge.

        The merged contact's state rows must still be there: they tell what it had refused
        while it stood alone. They are removed here. One that was merged earlier has none, and
        with it nothing is left to settle.
        """
        contacts = sorted(set(ids))
        subjects = self._lock_all_subjects(contacts)
        merged = [
            ContactId(row.id)
            for row in subjects
            if row.id != row.contact_id and row.id not in contacts
        ]
        before = self.states({*contacts, *merged})
        joined: defaultdict[ContactId, list[ContactId]] = defaultdict(list)
        for row in subjects:
            if row.id in merged:
                joined[ContactId(row.contact_id)].append(ContactId(row.id))
        entries = self._refusals_of_merges(joined, before)
        if entries:
            heads = self._lock_own_subjects(sorted({entry.contact_id for entry in entries}))
            self._extend(entries, heads, now)
        self._delete_states(merged)
        return self._write_fold(contacts, self.states(contacts))

    def erase(self, contact_id: ContactId, now: datetime) -> int:
        """Erase personal fields and salts; the chains still verify. Returns how many records."""
        subjects = [row.id for row in self._lock_all_subjects([contact_id])]
        done = self._connection.execute(
            update(consent_record)
            .where(
                consent_record.c.subject_id.in_(subjects),
                consent_record.c.redacted_at.is_(None),
            )
            .values(personal=None, salt=None, redacted_at=now)
        )
        return done.rowcount

    def checkpoint(
        self, now: datetime, signer: CheckpointSigner, limit: int = 2000
    ) -> Checkpoint | None:
        """Sign the heads of up to `limit` chains that have grown; None if none has."""
        return ledger_checkpoints.make(self._connection, now, signer, limit)

    def verify(self, signer: CheckpointSigner) -> VerifyReport:
        """Walk every chain and every checkpoint."""
        return ledger_verify.verify(self._connection, signer)

    def _lock_owners(
        self, ids: Collection[ContactId]
    ) -> tuple[dict[str, ContactId], dict[str, tuple[int, str]]]:
        """(who each contact is now, their locked chains).

        A merge that was under way while we waited for a lock is followed: we look again.
        """
        for _ in range(_ROUNDS):
            owners = survivors(self._connection, ids)
            heads = self._lock_own_subjects(sorted(set(owners.values())))
            if not takes_locks(self._connection) or survivors(self._connection, ids) == owners:
                break
        return owners, heads

    def _lock_own_subjects(self, contacts: Sequence[ContactId]) -> dict[str, tuple[int, str]]:
        """(length, head) of the contacts' own chains, made where missing, locked in order."""
        self._connection.execute(
            inserting(self._connection, consent_subject),
            [
                {
                    "id": contact_id,
                    "shard": shard_of(contact_id),
                    "contact_id": contact_id,
                    "length": 0,
                    "checkpointed": 0,
                    "head": "",
                }
                for contact_id in contacts
            ],
        )
        rows = self._rows(
            _LOCKED_SUBJECTS,
            consent_subject.c.id,
            contacts,
        )
        return {row.id: (row.length, row.head) for row in rows}

    def _lock_all_subjects(self, contacts: Sequence[ContactId]) -> list[Row[Any]]:
        return self._rows(
            _LOCKED_SUBJECTS,
            consent_subject.c.contact_id,
            contacts,
        )

    def _news(
        self,
        entries: Sequence[ConsentEntry],
        stored: Mapping[ContactId, Sequence[ConsentState]],
    ) -> list[ConsentEntry]:
        """The entries without those that repeat what the state says already."""
        known = {
            (state.contact_id, state.channel, state.topic): state
            for states in stored.values()
            for state in states
        }
        touched: set[tuple[ContactId, Channel]] = set()
        news = []
        for entry in entries:
            scope = (entry.contact_id, entry.channel)
            state = known.get((entry.contact_id, entry.channel, entry.topic))
            if entry.unless_known and scope not in touched and is_known(entry, state):
                continue
            if not entry.unless_known:
                touched.add(scope)
            news.append(entry)
        return news

    def _extend(
        self,
        entries: Sequence[ConsentEntry],
        heads: Mapping[str, tuple[int, str]],
        now: datetime,
    ) -> None:
        grown: dict[str, tuple[int, str]] = {}
        rows = []
        for entry in entries:
            subject_id = str(entry.contact_id)
            length, head = grown.get(subject_id, heads[subject_id])
            record = record_after(entry, subject_id, length + 1, head, self._new_salt(), now)
            grown[subject_id] = (record.seq, record.hash)
            rows.append(_row(record) | {"shard": shard_of(subject_id)})
        if not rows:
            return
        self._connection.execute(_NEW_RECORD, rows)
        self._connection.execute(
            _GROWN_SUBJECT,
            [
                {
                    "of_id": subject_id,
                    "of_shard": shard_of(subject_id),
                    "length": length,
                    "head": head,
                }
                for subject_id, (length, head) in sorted(grown.items())
            ],
        )

    def _refusals_of_merges(
        self,
        joined: Mapping[ContactId, Sequence[ContactId]],
        before: Mapping[ContactId, Sequence[ConsentState]],
    ) -> list[ConsentEntry]:
        records = self._records_to_fold(sorted(joined))
        entries: list[ConsentEntry] = []
        for kept, merged in sorted(joined.items()):
            apart = [
                {(state.channel, state.topic): state for state in before[contact_id]}
                for contact_id in (kept, *merged)
            ]
            own = records[kept]
            if own:
                latest = max(record.occurred_at for record in own)
                entries += carried_refusals(kept, apart, fold(own, kept), latest)
        return entries

    def _records_to_fold(
        self, contacts: Sequence[ContactId]
    ) -> defaultdict[ContactId, list[LedgerRecord]]:
        """The records of contacts, without what the fold does not read."""
        found: defaultdict[ContactId, list[LedgerRecord]] = defaultdict(list)
        for row in self._rows(
            _TO_FOLD,
            consent_subject.c.contact_id,
            contacts,
        ):
            found[ContactId(row.contact_id)].append(record_of(row))
        return found

    def _write_fold(
        self,
        contacts: Sequence[ContactId],
        stored: Mapping[ContactId, Sequence[ConsentState]],
    ) -> list[ConsentState]:
        """Make the `stored` state rows equal to the fold; returns the states that changed."""
        records = self._records_to_fold(contacts)
        changed: list[ConsentState] = []
        gone: list[ConsentState] = []
        for contact_id in contacts:
            wanted: States = fold(records[contact_id], contact_id)
            known = {(state.channel, state.topic): state for state in stored[contact_id]}
            changed += [state for key, state in wanted.items() if known.get(key) != state]
            gone += [state for key, state in known.items() if key not in wanted]
        self._save_states(changed)
        for state in gone:
            self._connection.execute(
                delete(consent_state).where(
                    tuple_(*list(consent_state.primary_key)[:3])
                    == (state.contact_id, state.channel.value, state.topic)
                )
            )
        return changed

    def _save_states(self, states: Sequence[ConsentState]) -> None:
        if not states:
            return
        self._connection.execute(
            upserting(self._connection, consent_state, _STATE_KEY, _STATE_SAID),
            [_row(state) | {"shard": shard_of(state.contact_id)} for state in states],
        )

    def _delete_states(self, contacts: Sequence[ContactId]) -> None:
        for start in range(0, len(contacts), BATCH):
            self._connection.execute(
                delete(consent_state).where(
                    consent_state.c.contact_id.in_(contacts[start : start + BATCH])
                )
            )

    def _rows(self, statement: Select[Any], column: Any, ids: Iterable[str]) -> list[Row[Any]]:
        return rows_of(self._connection, statement, column, ids)


def _owned(entry: ConsentEntry, owner: ContactId) -> ConsentEntry:
    return entry if entry.contact_id == owner else replace(entry, contact_id=owner)


_RECORD_NAMES: Final = tuple(item.name for item in fields(LedgerRecord))
_STATE_NAMES: Final = tuple(item.name for item in fields(ConsentState))


def _row(value: LedgerRecord | ConsentState) -> dict[str, Any]:
    """The columns of a record or state, words as plain text."""
    names = _RECORD_NAMES if isinstance(value, LedgerRecord) else _STATE_NAMES
    return {
        name: str(word) if isinstance(word := getattr(value, name), str) else word for name in names
    }
