"""START brings back what the last STOP had ended, and nothing beyond."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.domain.consent import (
    ALL_TOPICS,
    ConsentAction,
    LedgerRecord,
    LegalBasis,
    Method,
    is_stopped,
    stopped_grants,
)
from orchestrator.domain.consent.folding import fold
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

ADA = ContactId("ada")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def at(minute: int, action: str, topic: str = "offers", **more: Any) -> LedgerRecord:
    moment = NOON + timedelta(minutes=minute)
    record = LedgerRecord(
        subject_id="s",
        seq=minute,
        channel=Channel.SMS,
        topic=topic,
        action=ConsentAction(action),
        legal_basis=LegalBasis.CONSENT,
        method=Method.CHECKOUT_EVENT,
        occurred_at=moment,
        recorded_at=moment,
        details={"actor": "person"},
    )
    return replace(record, **more)


def stop(minute: int, **more: Any) -> LedgerRecord:
    return at(minute, "withdrawn", ALL_TOPICS, method=Method.KEYWORD, **more)


def back(*records: LedgerRecord, channel: Channel = Channel.SMS) -> set[str]:
    now = NOON + timedelta(hours=1)
    return {state.topic for state in stopped_grants(records, ADA, channel, now)}


def test_what_was_granted_comes_back() -> None:
    assert back(at(1, "granted"), at(2, "granted", "news"), stop(3)) == {"offers", "news"}


def test_without_a_stop_nothing_does() -> None:
    assert back(at(1, "granted")) == set()
    assert back(at(1, "granted"), at(2, "withdrawn", ALL_TOPICS)) == set()
    # A word on another channel is none on this one.
    assert back(at(1, "granted"), stop(2, channel=Channel.WHATSAPP)) == set()


def test_what_had_been_withdrawn_or_only_asked_for_does_not() -> None:
    news = [at(1, "granted", "news"), at(2, "withdrawn", "news")]
    assert back(*news, at(3, "requested", "reviews"), at(4, "granted"), stop(5)) == {"offers"}


def test_what_was_refused_again_since_does_not() -> None:
    before = [at(1, "granted"), at(2, "granted", "news"), stop(3)]
    assert back(*before, at(4, "withdrawn", "news")) == {"offers"}
    assert back(*before, at(4, "objected", ALL_TOPICS)) == set()


def test_what_has_lapsed_does_not() -> None:
    soon, later = (NOON + timedelta(minutes=span) for span in (30, 300))
    lapsing = at(1, "granted", details={"expires_at": soon.isoformat()})
    lasting = at(2, "granted", "news", details={"expires_at": later.isoformat()})
    records = [lapsing, lasting, stop(3)]
    (state,) = stopped_grants(records, ADA, Channel.SMS, NOON + timedelta(hours=1))
    assert (state.topic, state.expires_at) == ("news", later)


def test_a_grant_that_was_told_of_after_the_stop_does_not() -> None:
    late = at(1, "granted", recorded_at=NOON + timedelta(minutes=9))
    assert back(late, stop(3)) == set()


def test_the_last_stop_counts() -> None:
    first = [at(1, "granted"), at(2, "granted", "news"), stop(3)]
    again = at(4, "granted", method=Method.KEYWORD)
    assert back(*first, again, stop(5)) == {"offers"}


def test_a_channel_is_stopped_while_nothing_of_it_is_open() -> None:
    def stopped(*records: LedgerRecord) -> bool:
        return is_stopped(fold(records, ADA).values(), Channel.SMS)

    assert not stopped()
    assert not stopped(at(1, "granted"))
    assert not stopped(at(1, "granted"), at(2, "withdrawn"))  # topics that come later are open
    assert stopped(at(1, "granted"), stop(2))
    assert not stopped(at(1, "granted"), stop(2), at(3, "granted", "news"))
    assert stopped(at(1, "objected", ALL_TOPICS))
