"""The rules of consent: what records come to, and what that allows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.consent import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentStatus,
    LedgerRecord,
    LegalBasis,
    Permission,
    Standing,
    fold,
    is_known,
    lapses_at,
    permission,
)
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ADA = ContactId("ada")
A = ConsentAction
S = ConsentStatus


def record(
    action: ConsentAction,
    at: int = 0,
    topic: str = "offers",
    *,
    seq: int = 1,
    actor: Actor = Actor.SHOP,
    ends: int | None = None,
    channel: Channel = Channel.EMAIL,
    subject: str = "ada",
) -> LedgerRecord:
    details = {"actor": actor.value}
    if ends is not None:
        details["expires_at"] = (NOW + timedelta(minutes=ends)).isoformat()
    return LedgerRecord(
        subject_id=subject,
        seq=seq,
        channel=channel,
        topic=topic,
        action=action,
        legal_basis="consent",
        method="test",
        occurred_at=NOW + timedelta(minutes=at),
        recorded_at=NOW + timedelta(days=1, minutes=seq),
        details=details,
    )


def standing(records: Sequence[LedgerRecord], topic: str = "offers", at: int = 1000) -> Standing:
    moment = NOW + timedelta(minutes=at)
    return permission(fold(records, ADA), Channel.EMAIL, topic, moment).standing


# Each row of the documented table: what stands, what comes, what stands then.
BEFORE = {
    "nothing": [],
    "granted": [record(A.GRANTED, 0)],
    "requested": [record(A.REQUESTED, 0)],
    "withdrawn": [record(A.WITHDRAWN, 0)],
    "objected": [record(A.OBJECTED, 0)],
    "expired": [record(A.GRANTED, -1), record(A.EXPIRED, 0)],
}
TABLE: dict[ConsentAction, list[str | None]] = {
    A.REQUESTED: ["requested", "granted", "requested", "requested", "objected", "requested"],
    A.GRANTED: ["granted", "granted", "granted", "granted", "objected", "granted"],
    A.CONFIRMED: [None, "granted", "granted", "withdrawn", "objected", "expired"],
    A.DENIED: [None, "granted", None, "withdrawn", "objected", "expired"],
    A.WITHDRAWN: [*["withdrawn"] * 4, "objected", "withdrawn"],
    A.EXPIRED: [None, "expired", None, "withdrawn", "objected", "expired"],
    A.OBJECTED: [*["objected"] * 6],
}
CELLS = [
    (name, action, wanted)
    for action, row in TABLE.items()
    for name, wanted in zip(BEFORE, row, strict=True)
]


@pytest.mark.parametrize(("before", "action", "after"), CELLS)
def test_the_table_holds(before: str, action: ConsentAction, after: str | None) -> None:
    states = fold([*BEFORE[before], record(action, 5, seq=9)], ADA)
    state = states.get((Channel.EMAIL, "offers"))
    assert (state.status.value if state else None) == after


@pytest.mark.parametrize("at", [-1, 0])
def test_a_grant_not_newer_than_a_withdrawal_never_revives_it(at: int) -> None:
    later_recorded = record(A.GRANTED, at, seq=2)
    assert standing([record(A.WITHDRAWN, 0), later_recorded]) is Standing.WITHDRAWN


@pytest.mark.parametrize("refusal", [A.WITHDRAWN, A.OBJECTED])
def test_a_withdrawal_of_everything_covers_topics_of_the_future(refusal: ConsentAction) -> None:
    records = [record(A.GRANTED), record(refusal, 1, ALL_TOPICS)]
    expected = Standing.WITHDRAWN if refusal is A.WITHDRAWN else Standing.OBJECTED
    assert standing(records) is expected
    assert standing(records, "a topic added later") is expected


def test_a_new_grant_revives_its_topic_alone() -> None:
    records = [record(A.WITHDRAWN, 1, ALL_TOPICS), record(A.GRANTED, 2)]
    assert standing(records) is Standing.ALLOWED
    assert standing(records, "news") is Standing.WITHDRAWN


def test_a_grant_for_one_channel_says_nothing_of_another() -> None:
    states = fold([record(A.GRANTED)], ADA)
    assert permission(states, Channel.SMS, "offers", NOW) == Permission(Standing.UNKNOWN)


@pytest.mark.parametrize("actor", [Actor.SHOP, Actor.IMPORT, Actor.STAFF, Actor.SYSTEM])
def test_nobody_but_the_person_lifts_an_objection(actor: Actor) -> None:
    assert standing([record(A.OBJECTED), record(A.GRANTED, 5, actor=actor)]) is Standing.OBJECTED


def test_the_person_lifts_an_objection_by_a_newer_choice() -> None:
    own = record(A.GRANTED, 5, actor=Actor.PERSON)
    assert standing([record(A.OBJECTED), own]) is Standing.ALLOWED
    assert standing([record(A.OBJECTED, 6), own]) is Standing.OBJECTED
    confirmed = [record(A.REQUESTED, 5), record(A.CONFIRMED, 6, actor=Actor.PERSON)]
    assert standing([record(A.OBJECTED), *confirmed]) is Standing.ALLOWED
    assert standing([record(A.OBJECTED), confirmed[0]]) is Standing.OBJECTED


def test_a_withdrawal_after_an_objection_does_not_soften_it() -> None:
    records = [record(A.OBJECTED), record(A.WITHDRAWN, 1), record(A.GRANTED, 2)]
    assert standing(records) is Standing.OBJECTED


def test_a_request_waits_for_its_confirmation() -> None:
    asked = record(A.REQUESTED)
    assert standing([asked]) is Standing.UNCONFIRMED
    assert standing([asked, record(A.CONFIRMED, 1)]) is Standing.ALLOWED


def test_a_withdrawn_request_cannot_be_confirmed() -> None:
    records = [record(A.REQUESTED), record(A.WITHDRAWN, 1), record(A.CONFIRMED, 2)]
    assert standing(records) is Standing.WITHDRAWN


def test_a_withdrawn_person_may_ask_again() -> None:
    records = [record(A.WITHDRAWN), record(A.REQUESTED, 1)]
    assert standing(records) is Standing.UNCONFIRMED
    assert standing([*records, record(A.CONFIRMED, 2)]) is Standing.ALLOWED


def test_implied_consent_ends_by_itself() -> None:
    implied = record(A.GRANTED, 0, ends=10)
    assert standing([implied], at=9) is Standing.ALLOWED
    assert standing([implied], at=10) is Standing.EXPIRED


def test_the_basis_that_lasts_longer_stays() -> None:
    express, implied = record(A.GRANTED, 0), record(A.GRANTED, 1, ends=10)
    assert standing([express, implied]) is Standing.ALLOWED
    assert standing([implied, record(A.GRANTED, 2, ends=5)], at=7) is Standing.ALLOWED
    assert standing([implied, record(A.GRANTED, 2, ends=20)], at=15) is Standing.ALLOWED
    lapsed_before = [record(A.GRANTED, 0, ends=10), record(A.REQUESTED, 11)]
    assert standing(lapsed_before) is Standing.UNCONFIRMED


def test_a_confirmation_makes_implied_consent_express() -> None:
    records = [record(A.GRANTED, 0, ends=10), record(A.REQUESTED, 1), record(A.CONFIRMED, 2)]
    assert standing(records) is Standing.ALLOWED


def test_a_permission_names_the_record_that_proves_it() -> None:
    records = [record(A.GRANTED, 0, seq=4), record(A.GRANTED, 3, seq=7)]
    found = permission(fold(records, ADA), Channel.EMAIL, "offers", NOW)
    assert (found.allowed, found.proof) == (True, ("ada", 4))
    records.append(record(A.WITHDRAWN, 4, ALL_TOPICS, seq=9))
    found = permission(list(fold(records, ADA).values()), Channel.EMAIL, "offers", NOW)
    assert (found.allowed, found.proof) == (False, ("ada", 9))


RECORDS = st.lists(
    st.builds(
        record,
        st.sampled_from(ConsentAction),
        at=st.integers(-5, 5),
        topic=st.sampled_from(["news", "offers", ALL_TOPICS]),
        seq=st.integers(1, 9),
        actor=st.sampled_from(Actor),
        ends=st.none() | st.integers(-6, 12),
        subject=st.sampled_from(["ada", "ben"]),
    ),
    max_size=10,
    unique_by=lambda one: (one.subject_id, one.seq),
)


@given(records=RECORDS, seed=st.randoms())
def test_the_order_of_arrival_does_not_matter(records: list[LedgerRecord], seed: Random) -> None:
    shuffled = list(records)
    seed.shuffle(shuffled)
    assert fold(shuffled, ADA) == fold(records, ADA)


@given(records=RECORDS, refusal=st.sampled_from([A.WITHDRAWN, A.OBJECTED]))
def test_a_refusal_is_never_undone_by_what_is_older(
    records: list[LedgerRecord], refusal: ConsentAction
) -> None:
    records.append(record(refusal, 5, ALL_TOPICS, seq=10))
    for topic, channel in itertools.product(("news", "offers", "later"), Channel):
        found = permission(fold(records, ADA), channel, topic, NOW + timedelta(days=1))
        assert not found.allowed
        if channel is Channel.EMAIL:
            assert found.standing in (Standing.WITHDRAWN, Standing.OBJECTED)


@given(records=RECORDS)
def test_what_is_allowed_was_granted_or_confirmed(records: list[LedgerRecord]) -> None:
    by_place = {(one.subject_id, one.seq): one for one in records}
    for state in fold(records, ADA).values():
        proof = by_place[state.subject_id, state.seq]
        assert proof.topic in (state.topic, ALL_TOPICS)
        if state.status is S.GRANTED:
            assert proof.action in (A.GRANTED, A.CONFIRMED)
            assert state.changed_at == proof.occurred_at


def test_only_an_answer_that_changes_nothing_is_known() -> None:
    def entry(action: ConsentAction) -> ConsentEntry:
        return ConsentEntry(ADA, Channel.EMAIL, "offers", action, "consent", "test", NOW)

    granted = fold([record(A.GRANTED)], ADA)[Channel.EMAIL, "offers"]
    implied = fold([record(A.GRANTED, ends=5)], ADA)[Channel.EMAIL, "offers"]
    requested = fold([record(A.REQUESTED)], ADA)[Channel.EMAIL, "offers"]
    assert is_known(entry(A.GRANTED), granted)
    assert is_known(entry(A.REQUESTED), granted)
    assert is_known(entry(A.REQUESTED), requested)
    assert not is_known(entry(A.GRANTED), requested)
    assert not is_known(entry(A.GRANTED), implied)
    assert not is_known(entry(A.GRANTED), None)
    assert not is_known(entry(A.WITHDRAWN), granted)


@pytest.mark.parametrize(
    ("basis", "given_at", "ends"),
    [
        (LegalBasis.IMPLIED_PURCHASE, datetime(2024, 2, 29, tzinfo=UTC), (2026, 2, 28)),
        (LegalBasis.IMPLIED_INQUIRY, datetime(2026, 8, 31, tzinfo=UTC), (2027, 2, 28)),
        (LegalBasis.IMPLIED_INQUIRY, datetime(2026, 6, 15, tzinfo=UTC), (2026, 12, 15)),
    ],
)
def test_implied_consent_lapses_on_a_calendar_day(
    basis: LegalBasis, given_at: datetime, ends: tuple[int, int, int]
) -> None:
    assert lapses_at(basis, given_at) == datetime(*ends, tzinfo=UTC)
    assert lapses_at(LegalBasis.CONSENT, given_at) is None
