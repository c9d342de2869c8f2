"""The walk along the ledger: every chain, every state, every checkpoint.

It works in batches, so memory stays flat, and wants one unchanging view of the database: on
PostgreSQL a transaction at REPEATABLE READ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Row, exists, func, select

from orchestrator.domain.consent import (
    GENESIS,
    LedgerRecord,
    VerifyReport,
    commitment_of,
    fold,
    link_of,
)
from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.ports.ledger import CheckpointSigner
from orchestrator.storage.ledger_checkpoint_walk import walk_checkpoints
from orchestrator.storage.ledger_rows import BATCH, record_of, rows_of, state_of, survivors
from orchestrator.storage.tables import (
    consent_checkpoint_head,
    consent_record,
    consent_state,
    consent_subject,
)

_UNREADABLE: Final = (ValueError, TypeError, OverflowError)
"""What reading a damaged row raises."""


def verify(connection: Connection, signer: CheckpointSigner) -> VerifyReport:
    """Walk everything; the report names each place that is not as it was written."""
    report = VerifyReport()
    for subjects in _batches(connection, consent_subject, consent_subject.c.id):
        _walk_subjects(connection, subjects, report)
    _find_orphans(connection, report)
    for owners in _batches(connection, consent_subject, consent_subject.c.contact_id):
        _compare_states(connection, sorted({row.contact_id for row in owners}), report)
    walk_checkpoints(connection, signer, report)
    return report


def _batches(connection: Connection, table: Any, key: Any) -> Iterator[Sequence[Row[Any]]]:
    """Rows in the order of `key`, some hundred at a time; rows of one key stay together."""
    last: str | None = None
    while True:
        keys = select(key).distinct().order_by(key).limit(BATCH)
        keys = keys if last is None else keys.where(key > last)
        found = list(connection.scalars(keys))
        if not found:
            return
        last = found[-1]
        statement = select(table).where(key >= found[0], key <= last).order_by(key)
        yield connection.execute(statement).all()


def _walk_subjects(
    connection: Connection, subjects: Sequence[Row[Any]], report: VerifyReport
) -> None:
    ids = [row.id for row in subjects]
    owners = survivors(connection, ids)
    signed = _signed_lengths(connection, ids)
    statement = select(consent_record).order_by(consent_record.c.subject_id, consent_record.c.seq)
    try:
        rows = rows_of(connection, statement, consent_record.c.subject_id, ids)
    except _UNREADABLE:
        if len(subjects) > 1:
            for subject in subjects:
                _walk_subjects(connection, [subject], report)
            return
        report.found("a record cannot be read: it was altered", ids[0])
        rows = []
    chains = {key: list(chain) for key, chain in groupby(rows, lambda row: str(row.subject_id))}
    for subject in subjects:
        report.subjects += 1
        chain = chains.get(subject.id, [])
        _check_subject(subject, chain, owners[subject.id], signed.get(subject.id, 0), report)


def _signed_lengths(connection: Connection, ids: Sequence[str]) -> Mapping[str, int]:
    head = consent_checkpoint_head.c
    statement = select(head.subject_id, func.max(head.seq).label("seq")).group_by(head.subject_id)
    return {row.subject_id: row.seq for row in rows_of(connection, statement, head.subject_id, ids)}


def _check_subject(
    subject: Row[Any],
    chain: Sequence[Row[Any]],
    owner: ContactId,
    signed: int,
    report: VerifyReport,
) -> None:
    length, head = _walk_chain(chain, report)
    if subject.shard != shard_of(subject.id):
        report.found("the subject's shard was altered", subject.id)
    if subject.length != length:
        what = f"the chain ends at {length}, the subject says {subject.length}"
        report.found(f"{what}: records were dropped or added", subject.id)
    elif subject.head != head:
        report.found("the subject's head is not the last record's hash", subject.id)
    if subject.contact_id != owner:
        what = f"the subject belongs to contact {owner}, not to {subject.contact_id}"
        report.found(what, subject.id)
    if subject.checkpointed != signed:
        what = f"checkpoints vouch for {signed} records, the subject says {subject.checkpointed}"
        report.found(what, subject.id)
    report.unsigned += max(length - signed, 0)


def _walk_chain(chain: Sequence[Row[Any]], report: VerifyReport) -> tuple[int, str]:
    """(number of the last record, its hash) after checking every link."""
    seq, previous = 0, GENESIS
    for row in chain:
        report.records += 1
        place = (row.subject_id, row.seq)
        if row.seq != seq + 1:
            missing = f"{seq + 1}" if row.seq == seq + 2 else f"{seq + 1} to {row.seq - 1}"
            report.found(f"missing: {missing} (dropped or renumbered)", *place)
        elif row.previous != previous:
            report.found("does not follow the record before it: altered or reordered", *place)
        try:
            _check_record(record_of(row), report)
        except _UNREADABLE:
            report.found("a field was altered: it holds no valid word or value", *place)
        if row.shard != shard_of(row.subject_id):
            report.found("the shard was altered", *place)
        seq, previous = row.seq, row.hash
    return seq, previous


def _check_record(record: LedgerRecord, report: VerifyReport) -> None:
    place = (record.subject_id, record.seq)
    if record.hash != link_of(record):
        report.found("a field was altered: the hash does not hold", *place)
    if record.redacted_at is not None:
        report.redacted += 1
        if record.personal is not None or record.salt is not None:
            report.found("marked as erased, but personal fields or salt are there", *place)
        elif record.redacted_at < record.recorded_at:
            report.found("erased before it was recorded: the time was altered", *place)
    elif record.personal is None or record.salt is None:
        report.found("personal fields or salt are gone without a mark of erasure", *place)
    elif not _commitment_holds(record.personal, record.salt, record.commitment):
        report.found("personal fields or salt were altered", *place)


def _commitment_holds(personal: Mapping[str, Any], salt: str, commitment: str) -> bool:
    try:
        return commitment_of(personal, salt) == commitment
    except _UNREADABLE:
        return False


def _find_orphans(connection: Connection, report: VerifyReport) -> None:
    """Records whose subject is gone, states of people without any subject."""
    record, state, subject = consent_record.c, consent_state.c, consent_subject.c
    lost = (
        select(record.subject_id, func.count().label("count"))
        .where(~exists().where(subject.id == record.subject_id))
        .group_by(record.subject_id)
    )
    for row in connection.execute(lost):
        report.found(f"the subject is gone, {row.count} of its records are left", row.subject_id)
    invented = (
        select(state.contact_id)
        .where(~exists().where(subject.contact_id == state.contact_id))
        .distinct()
    )
    for row in connection.execute(invented):
        report.found("a state without any record: altered or added", row.contact_id)


def _compare_states(connection: Connection, contacts: Sequence[str], report: VerifyReport) -> None:
    try:
        records = rows_of(
            connection,
            select(consent_record, consent_subject.c.contact_id).join(
                consent_subject, consent_subject.c.id == consent_record.c.subject_id
            ),
            consent_subject.c.contact_id,
            contacts,
        )
        rows = rows_of(connection, select(consent_state), consent_state.c.contact_id, contacts)
    except _UNREADABLE:
        if len(contacts) > 1:
            for contact_id in contacts:
                _compare_states(connection, [contact_id], report)
        else:
            report.found("a state cannot be compared: a row cannot be read", contacts[0])
        return
    chains: dict[str, list[Row[Any]]] = {contact_id: [] for contact_id in contacts}
    stored: dict[str, list[Row[Any]]] = {contact_id: [] for contact_id in contacts}
    for row in records:
        chains[row.contact_id].append(row)
    for row in rows:
        stored[row.contact_id].append(row)
    for contact_id in contacts:
        _compare(contact_id, chains[contact_id], stored[contact_id], report)


def _compare(
    contact_id: str, chain: Sequence[Row[Any]], stored: Sequence[Row[Any]], report: VerifyReport
) -> None:
    report.states += len(stored)
    try:
        wanted = fold([record_of(row) for row in chain], ContactId(contact_id))
    except _UNREADABLE:
        return  # the walk along the chain has named the record
    left = dict(wanted)
    for row in stored:
        place = f"the state of {row.channel} {row.topic}"
        state = left.pop((row.channel, row.topic), None)
        if state is None:
            report.found(f"{place} follows from no record: altered or added", contact_id)
        elif row.shard != shard_of(contact_id) or not _same(row, state):
            report.found(f"{place} is not the fold of its records: altered", contact_id, state.seq)
    for state in left.values():
        what = f"the state of {state.channel} {state.topic} is gone"
        report.found(what, contact_id, state.seq)


def _same(row: Row[Any], state: object) -> bool:
    try:
        return state_of(row) == state
    except _UNREADABLE:
        return False
