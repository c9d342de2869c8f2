"""The consent ledger on both databases: append, fold, merge, erase, sign, verify."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Table, delete, insert, select, text, update

from orchestrator.domain.consent import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentStatus,
    LegalBasis,
    Standing,
    VerifyReport,
    fold,
    permission,
)
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.ledger import SqlConsents
from orchestrator.storage.ledger_signing import HmacCheckpointSigner
from orchestrator.storage.tables import (
    consent_checkpoint,
    consent_checkpoint_head,
    consent_record,
    consent_state,
    consent_subject,
    contact_merge,
    metadata,
)

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
TOPICS = ("news", "offers")
SIGNER = HmacCheckpointSigner(["a secret"])
LEDGER_TABLES = (
    consent_subject,
    consent_record,
    consent_state,
    consent_checkpoint,
    consent_checkpoint_head,
)


def contact(number: int) -> ContactId:
    return ContactId(f"01930000-0000-7000-8000-{number:012x}")


ADA, BEN, CLEO = contact(1), contact(2), contact(3)


@dataclass
class Ledger:
    """A database whose ledger can be emptied quickly."""

    engine: Engine

    @contextmanager
    def begin(self) -> Iterator[tuple[Connection, SqlConsents]]:
        with self.engine.begin() as connection:
            yield connection, SqlConsents(connection)

    @contextmanager
    def undone(self) -> Iterator[tuple[Connection, SqlConsents]]:
        """A transaction that leaves no trace."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            yield connection, SqlConsents(connection)
            transaction.rollback()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Ledger]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
        engine = create_engine_for(url)
    else:
        server = request.getfixturevalue("postgres_server")
        name = server.create()
        engine = create_engine_for(server.url(name))
    metadata.create_all(engine)
    yield Ledger(engine)
    engine.dispose()
    if request.param == "postgresql":
        server.drop(name)


def entry(
    action: ConsentAction,
    *,
    contact_id: ContactId = ADA,
    topic: str = "offers",
    at: int = 0,
    actor: Actor = Actor.SHOP,
    channel: Channel = Channel.EMAIL,
    **more: Any,
) -> ConsentEntry:
    """An entry `at` minutes after the beginning."""
    return ConsentEntry(
        contact_id=contact_id,
        channel=channel,
        topic=topic,
        action=action,
        legal_basis=LegalBasis.CONSENT,
        method="test",
        occurred_at=NOW + timedelta(minutes=at),
        details={"actor": actor.value, "collection_point": "Kyselylomake №1"},
        personal={"address": f"{contact_id}@example.com", "ip": "192.0.2.1"},
        **more,
    )


LATER = NOW + timedelta(days=2)
G, W = ConsentAction.GRANTED, ConsentAction.WITHDRAWN


def findings(report: VerifyReport) -> list[str]:
    return [str(finding) for finding in report.findings]


def test_an_append_extends_the_chain_and_writes_the_fold(ledger: Ledger) -> None:
    with ledger.undone() as (_connection, consents):
        changed = consents.append([entry(G), entry(W, topic=ALL_TOPICS, at=1)], LATER)
        assert {(s.topic, s.status) for s in changed} == {
            ("offers", ConsentStatus.WITHDRAWN),
            (ALL_TOPICS, ConsentStatus.WITHDRAWN),
        }
        assert [r.seq for r in consents.records(ADA)] == [1, 2]
        assert consents.append([entry(W, at=5)], LATER) == []
        report = consents.verify(SIGNER)
        assert (report.subjects, report.records, report.states) == (1, 3, 2)
        assert report.intact, findings(report)


def test_states_of_nobody_are_empty(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        assert consents.states([ADA]) == {ADA: []}
        assert consents.append([], NOW) == []


def test_a_repeated_answer_is_recorded_once(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        consents.append([entry(G, unless_known=True)], LATER)
        assert consents.append([entry(G, at=3, unless_known=True)], LATER) == []
        assert len(consents.records(ADA)) == 1
        consents.append([entry(W, at=4), entry(G, at=5, unless_known=True)], LATER)
        assert consents.states([ADA])[ADA][0].status is ConsentStatus.GRANTED


def test_a_time_in_the_future_is_cut_to_the_time_of_recording(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        consents.append([entry(G, at=60 * 24 * 365)], NOW)
        record = consents.records(ADA)[0]
        assert record.occurred_at == NOW
        assert record.details["stated_at"].startswith("2027-11-20")
        consents.append([entry(W, at=1)], LATER)
        assert consents.states([ADA])[ADA][0].status is ConsentStatus.WITHDRAWN


def test_text_that_databases_refuse_is_cleaned_before_it_is_hashed(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        odd = replace(entry(G), personal={"user_agent": "a\0b\ud800", "n": 10**20, "x": None})
        consents.append([odd], LATER)
        assert consents.records(ADA)[0].personal == {"user_agent": "ab?", "n": 10**20, "x": None}
        assert consents.verify(SIGNER).intact


def test_erasure_leaves_the_chain_valid_and_counted(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        consents.append([entry(G), entry(W, at=1), entry(G, contact_id=BEN)], LATER)
        before = consents.states([ADA])
        assert consents.erase(ADA, LATER) == 2
        assert consents.erase(ADA, LATER) == 0
        for row in connection.execute(select(consent_record)):
            assert (row.personal is None) == (row.subject_id == ADA)
            assert (row.salt is None) == (row.subject_id == ADA)
        assert consents.states([ADA]) == before
        report = consents.verify(SIGNER)
        assert report.intact, findings(report)
        assert report.redacted == 2
        consents.append([entry(G, at=9)], LATER)
        assert consents.verify(SIGNER).intact


def merge(connection: Connection, merged: ContactId, kept: ContactId) -> None:
    """What the contact store does before it calls `refold`."""
    connection.execute(
        insert(contact_merge).values(
            merged_id=merged, shard=shard_of(merged), kept_id=kept, kind="email", merged_at=LATER
        )
    )
    connection.execute(
        update(consent_subject)
        .where(consent_subject.c.contact_id == merged)
        .values(contact_id=kept)
    )


def test_a_merge_keeps_the_withdrawal_of_either(ledger: Ledger) -> None:
    for granted, withdrawn in itertools.permutations([ADA, BEN]):
        with ledger.undone() as (connection, consents):
            consents.append([entry(W, contact_id=withdrawn, topic=ALL_TOPICS)], LATER)
            consents.append([entry(G, contact_id=granted, at=5)], LATER)
            merge(connection, BEN, ADA)
            consents.refold([ADA], LATER)
            states = consents.states([ADA, BEN])
            assert states[BEN] == []
            assert permission(states[ADA], Channel.EMAIL, "offers", LATER).standing is (
                Standing.WITHDRAWN
            )
            report = consents.verify(SIGNER)
            assert report.intact, findings(report)
            # what the person says afterwards counts, wherever it is recorded
            consents.append([entry(G, contact_id=BEN, at=6)], LATER)
            assert permission(consents.states([ADA])[ADA], Channel.EMAIL, "offers", LATER).allowed
            # ... and computing the states again does not undo it
            consents.refold([ADA], LATER)
            assert permission(consents.states([ADA])[ADA], Channel.EMAIL, "offers", LATER).allowed
            assert consents.verify(SIGNER).intact


def test_a_merge_with_somebody_unasked_keeps_the_consent(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        consents.append([entry(G, contact_id=BEN)], LATER)
        merge(connection, BEN, ADA)
        consents.refold([ADA], LATER)
        assert permission(consents.states([ADA])[ADA], Channel.EMAIL, "offers", LATER).allowed
        assert consents.verify(SIGNER).intact


def test_an_entry_for_a_merged_contact_lands_with_the_survivor(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        consents.append([entry(G, contact_id=ADA), entry(G, contact_id=BEN)], LATER)
        merge(connection, BEN, ADA)
        consents.refold([ADA], LATER)
        merge(connection, ADA, CLEO)
        consents.refold([CLEO], LATER)
        consents.append([entry(W, contact_id=BEN, at=9)], LATER)
        (state,) = consents.states([CLEO])[CLEO]
        assert (state.status, state.subject_id) == (ConsentStatus.WITHDRAWN, CLEO)
        assert consents.verify(SIGNER).intact


MOMENTS = st.integers(0, 12)
ENTRIES = st.lists(
    st.builds(
        entry,
        st.sampled_from(ConsentAction),
        contact_id=st.sampled_from([ADA, BEN]),
        topic=st.sampled_from([*TOPICS, ALL_TOPICS]),
        at=MOMENTS,
        actor=st.sampled_from([Actor.PERSON, Actor.SHOP]),
        channel=st.sampled_from([Channel.EMAIL, Channel.SMS]),
    ),
    max_size=14,
)
# The fixture is one database for all examples; each example leaves nothing behind.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@SHARED
@given(entries=ENTRIES, cuts=st.lists(st.integers(0, 14), max_size=3))
def test_the_fold_of_a_random_ledger_is_the_state(
    ledger: Ledger, entries: list[ConsentEntry], cuts: list[int]
) -> None:
    with ledger.undone() as (_, consents):
        for start, end in itertools.pairwise([0, *sorted(cuts), len(entries)]):
            consents.append(entries[start:end], NOW + timedelta(minutes=20 + start))
        for contact_id in (ADA, BEN):
            states = consents.states([contact_id])[contact_id]
            assert {(s.channel, s.topic): s for s in states} == fold(
                consents.records(contact_id), contact_id
            )
        report = consents.verify(SIGNER)
        assert report.intact, findings(report)
        consents.erase(ADA, LATER)
        assert consents.verify(SIGNER).intact


@SHARED
@example(
    entries=[
        *[entry(ConsentAction.REQUESTED) for _ in range(2)],
        entry(ConsentAction.CONFIRMED, contact_id=BEN),
    ]
)
@given(entries=ENTRIES)
def test_a_merge_never_widens_permission(ledger: Ledger, entries: list[ConsentEntry]) -> None:
    refused = (Standing.WITHDRAWN, Standing.OBJECTED)
    keys = list(itertools.product((Channel.EMAIL, Channel.SMS), (*TOPICS, "a later topic")))
    with ledger.undone() as (connection, consents):
        consents.append(entries, LATER)
        alone = consents.states([ADA, BEN])
        merge(connection, BEN, ADA)
        consents.refold([ADA], LATER)
        together = consents.states([ADA])[ADA]
        for channel, topic in keys:
            apart = [permission(states, channel, topic, LATER) for states in alone.values()]
            now = permission(together, channel, topic, LATER)
            if any(each.standing in refused for each in apart):
                assert now.standing in refused
            elif now.allowed:
                assert any(each.allowed for each in apart)
        assert consents.verify(SIGNER).intact


def test_checkpoints_cover_what_has_grown_since_the_last(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        assert consents.checkpoint(NOW, SIGNER) is None
        consents.append([entry(G), entry(G, contact_id=BEN)], LATER)
        first = consents.checkpoint(LATER, SIGNER)
        assert first is not None
        assert (first.number, first.heads) == (1, 2)
        assert consents.checkpoint(LATER, SIGNER) is None
        consents.append([entry(W, at=3)], LATER)
        assert consents.verify(SIGNER).unsigned == 1
        second = consents.checkpoint(LATER, SIGNER)
        assert second is not None
        assert (second.number, second.heads, second.previous) == (2, 1, first.root)
        report = consents.verify(SIGNER)
        assert report.intact, findings(report)
        assert (report.checkpoints, report.unsigned, report.newest) == (2, 0, second.root)


def test_checkpoints_stay_small(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        consents.append([entry(G, contact_id=contact(n)) for n in range(1, 6)], LATER)
        sizes = []
        while made := consents.checkpoint(LATER, SIGNER, limit=2):
            sizes.append(made.heads)
        assert sizes == [2, 2, 1]
        assert consents.verify(SIGNER).intact


def test_a_checkpoint_signed_with_an_older_key_still_holds(ledger: Ledger) -> None:
    with ledger.undone() as (_, consents):
        consents.append([entry(G)], LATER)
        consents.checkpoint(LATER, SIGNER)
        assert consents.verify(HmacCheckpointSigner(["new", "a secret"])).intact
        report = consents.verify(HmacCheckpointSigner(["new"]))
        assert "not in SECRET_KEY" in findings(report)[0]


def filled(connection: Connection, consents: SqlConsents) -> None:
    """Three people, a merge, an erasure, two checkpoints and something unsigned."""
    consents.append(
        [
            entry(G),
            entry(G, topic="news", channel=Channel.SMS),
            entry(W, at=1),
            entry(G, at=2),
            entry(G, contact_id=BEN),
            entry(ConsentAction.OBJECTED, contact_id=BEN, topic=ALL_TOPICS, at=1),
            entry(G, contact_id=CLEO, topic="news"),
        ],
        LATER,
    )
    consents.checkpoint(LATER, SIGNER)
    merge(connection, CLEO, ADA)
    consents.refold([ADA], LATER)
    consents.append([entry(W, topic="news", at=7), entry(G, contact_id=BEN, at=8)], LATER)
    consents.erase(BEN, LATER)
    consents.checkpoint(LATER, SIGNER)
    consents.append([entry(G, at=9)], LATER)
    report = consents.verify(SIGNER)
    assert report.intact, findings(report)


def other(value: Any) -> Any:
    """A value like `value` but not the same."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1000  # free, where it is part of a key
        case datetime():
            return value + timedelta(seconds=1)
        case dict():
            return {**value, "actor": "nobody"}
        case None:
            return None
        case str() if len(value) == 36 and value.count("-") == 4:
            return str(contact(0xABCDEF))
        case str():
            return ("0" if value[:1] != "0" else "1") + value[1:]
    raise AssertionError(value)


NULLABLE = {
    ("consent_record", "personal"): {"address": "eve@example.com"},
    ("consent_record", "salt"): "00" * 16,
    ("consent_record", "redacted_at"): LATER,
    ("consent_state", "expires_at"): LATER,
}


@pytest.mark.parametrize("table", LEDGER_TABLES, ids=lambda table: table.name)
def test_a_change_to_any_column_of_any_row_is_found(ledger: Ledger, table: Table) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        rows = connection.execute(select(table)).mappings().all()
        assert rows
        for row, column in itertools.product(rows, table.c):
            changed = other(row[column.name])
            if changed is None:
                changed = NULLABLE[table.name, column.name]
            if column.name == "redacted_at" and row["redacted_at"] is not None:
                changed = None  # a moment of erasure is a note, that it happened is a fact
            with connection.begin_nested() as savepoint:
                connection.execute(
                    update(table)
                    .where(*[key == row[key.name] for key in table.primary_key])
                    .values({column.name: changed})
                )
                report = consents.verify(SIGNER)
                assert not report.intact, (column.name, row[column.name], changed)
                savepoint.rollback()
        assert consents.verify(SIGNER).intact


@pytest.mark.parametrize("table", LEDGER_TABLES, ids=lambda table: table.name)
def test_any_dropped_row_is_found(ledger: Ledger, table: Table) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        for row in connection.execute(select(table)).mappings().all():
            with connection.begin_nested() as savepoint:
                connection.execute(
                    delete(table).where(*[key == row[key.name] for key in table.primary_key])
                )
                assert not consents.verify(SIGNER).intact, dict(row)
                savepoint.rollback()


def tamper(connection: Connection, data: st.DataObject) -> str:
    """Drop a row of the ledger, or change one field of it; tells what was done."""
    table = data.draw(st.sampled_from(LEDGER_TABLES))
    row = data.draw(st.sampled_from(connection.execute(select(table)).mappings().all()))
    mine = [key == row[key.name] for key in table.primary_key]
    column = data.draw(st.sampled_from([None, *table.c]))
    if column is None:
        connection.execute(delete(table).where(*mine))
        return f"dropped {dict(row)}"
    changed = other(row[column.name])
    if changed is None:
        changed = NULLABLE[table.name, column.name]
    connection.execute(update(table).where(*mine).values({column.name: changed}))
    return f"{column} of {dict(row)} is {changed}"


@SHARED
@given(entries=ENTRIES.filter(bool), data=st.data())
def test_one_tampered_row_of_a_random_ledger_is_found(
    ledger: Ledger, entries: list[ConsentEntry], data: st.DataObject
) -> None:
    with ledger.undone() as (connection, consents):
        consents.append([*entries, entry(G, at=11)], LATER)
        consents.checkpoint(LATER, SIGNER)
        assert consents.verify(SIGNER).intact
        done = tamper(connection, data)
        assert not consents.verify(SIGNER).intact, done


def swap(connection: Connection, one: int, two: int) -> None:
    """Exchange the numbers of two records of Ada."""
    for old, new in ((one, 1000), (two, one), (1000, two)):
        connection.execute(
            update(consent_record)
            .where(consent_record.c.subject_id == ADA, consent_record.c.seq == old)
            .values(seq=new)
        )


@pytest.mark.parametrize(("one", "two"), list(itertools.combinations(range(1, 7), 2)))
def test_reordered_records_are_found(ledger: Ledger, one: int, two: int) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        swap(connection, one, two)
        report = consents.verify(SIGNER)
        assert any(f.subject_id == ADA and f.seq in (one, two) for f in report.findings)


def rewritten(connection: Connection, keep: int) -> None:
    """Cut Ada's chain behind `keep` and mend head, length and states, as a thief would."""
    connection.execute(
        delete(consent_record).where(
            consent_record.c.subject_id == ADA, consent_record.c.seq > keep
        )
    )
    head = connection.scalar(
        select(consent_record.c.hash).where(
            consent_record.c.subject_id == ADA, consent_record.c.seq == keep
        )
    )
    connection.execute(
        update(consent_subject)
        .where(consent_subject.c.id == ADA)
        .values(length=keep, head=head or "")
    )
    consents = SqlConsents(connection)
    consents._write_fold([ADA], consents.states([ADA]))


@pytest.mark.parametrize("keep", [0, 1, 2, 3, 4])
def test_a_truncated_chain_is_found_by_its_checkpoint(ledger: Ledger, keep: int) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        rewritten(connection, keep)
        report = consents.verify(SIGNER)
        assert any(
            f.subject_id == ADA and "vouches for this record" in f.what for f in report.findings
        )


def test_a_subject_that_vanished_whole_is_found_by_its_checkpoint(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        connection.execute(delete(consent_record).where(consent_record.c.subject_id == BEN))
        connection.execute(delete(consent_subject).where(consent_subject.c.id == BEN))
        connection.execute(delete(consent_state).where(consent_state.c.contact_id == BEN))
        assert [f.subject_id for f in consents.verify(SIGNER).findings] == [BEN, BEN]


def test_an_inserted_record_is_found(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        (row,) = connection.execute(
            select(consent_record).where(
                consent_record.c.subject_id == ADA, consent_record.c.seq == 4
            )
        ).mappings()
        length = connection.scalar(
            select(consent_subject.c.length).where(consent_subject.c.id == ADA)
        )
        assert length is not None
        connection.execute(insert(consent_record).values({**row, "seq": length + 1}))
        found = consents.verify(SIGNER).findings
        assert any(f.seq == length + 1 for f in found)


def test_a_forged_checkpoint_is_found(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        consents.append([entry(G)], LATER)
        consents.checkpoint(LATER, HmacCheckpointSigner(["another secret"]))
        key_id = SIGNER.sign(b"")[0]
        connection.execute(update(consent_checkpoint).values(key_id=key_id))
        assert any("forged" in text for text in findings(consents.verify(SIGNER)))


def test_words_no_program_wrote_are_named_not_raised(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        filled(connection, consents)
        for column, word in (("action", "sold"), ("channel", "fax"), ("salt", "no hex")):
            with connection.begin_nested() as savepoint:
                connection.execute(
                    update(consent_record)
                    .where(consent_record.c.subject_id == ADA, consent_record.c.seq == 2)
                    .values({column: word})
                )
                found = consents.verify(SIGNER).findings
                assert any((f.subject_id, f.seq) == (ADA, 2) for f in found)
                savepoint.rollback()


def test_damaged_json_is_named_not_raised(ledger: Ledger) -> None:
    with ledger.undone() as (connection, consents):
        if connection.dialect.name != "sqlite":
            pytest.skip("this database keeps no malformed JSON")
        filled(connection, consents)
        connection.execute(text("UPDATE consent_record SET details = '{' WHERE seq = 3"))
        report = consents.verify(SIGNER)
        assert any(f.subject_id == ADA for f in report.findings)
        assert report.subjects == 3


def test_a_long_ledger_is_walked_in_batches(ledger: Ledger) -> None:
    with ledger.undone() as (_connection, consents):
        people = [contact(number) for number in range(1, 1203)]
        random.Random(7).shuffle(people)
        consents.append([entry(G, contact_id=person) for person in people], LATER)
        report = consents.verify(SIGNER)
        assert report.intact, findings(report)
        assert (report.subjects, report.records, report.states) == (1202, 1202, 1202)


Transaction = Callable[[], AbstractContextManager[tuple[Connection, SqlConsents]]]


def test_two_writers_of_one_person_extend_one_chain(ledger: Ledger) -> None:
    import threading  # noqa: PLC0415  # only this test has two writers

    def write(turns: int) -> None:
        for turn in range(turns):
            with ledger.begin() as (_, consents):
                consents.append(
                    [entry(G, contact_id=CLEO, at=turn), entry(W, contact_id=BEN, at=turn)], LATER
                )

    writers = [threading.Thread(target=write, args=(10,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with ledger.begin() as (connection, consents):
        report = consents.verify(SIGNER)
        assert report.intact, findings(report)
        assert report.records == 40
        for table in LEDGER_TABLES:
            connection.execute(delete(table))
