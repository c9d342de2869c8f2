from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.domain.consent import ConsentAction
from orchestrator.domain.enrolments import EndReason
from orchestrator.domain.events import CANONICAL_TYPES
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.messages import (
    CancelledReason,
    FailedReason,
    HeldReason,
    MessageState,
    NotSentReason,
)
from orchestrator.flowfile import load_file
from orchestrator.flowfile.outline import Card, outline_flow
from orchestrator.web.pages import words
from orchestrator.web.pages.words import reason_words, shortened, when
from tests.unit.shop import book_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HELSINKI = ZoneInfo("Europe/Helsinki")


@pytest.mark.parametrize(
    ("state", "reasons"),
    [
        (MessageState.HELD, HeldReason),
        (MessageState.NOT_SENT, NotSentReason),
        (MessageState.CANCELLED, CancelledReason),
        (MessageState.FAILED, FailedReason),
    ],
)
def test_every_reason_has_words(state: MessageState, reasons: type[StrEnum]) -> None:
    told = [reason_words(state, reason.value) for reason in reasons]
    assert all(" " in one for one in told)
    assert len(set(told)) == len(told)


def test_everything_with_a_closed_list_of_names_has_words() -> None:
    assert set(words.STATES) == set(words.TONES) == set(MessageState)
    assert set(words.ENDS) == set(EndReason)
    assert set(words.EVENTS) == CANONICAL_TYPES
    assert set(words.CONSENTS) == set(ConsentAction)
    assert set(words.CHANNELS) == set(Channel)
    assert set(words.CLASSES) == set(MessageClass)


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(seconds=-59), "just now"),
        (timedelta(seconds=-60), "1 minute ago"),
        (timedelta(minutes=-59), "59 minutes ago"),
        (timedelta(hours=-1), "1 hour ago"),
        (timedelta(hours=-47), "1 day ago"),
        (timedelta(days=-29), "29 days ago"),
        (timedelta(days=-30), "21 Oct 2026"),
        (timedelta(seconds=5), "in a moment"),
        (timedelta(hours=3), "in 3 hours"),
    ],
)
def test_moments_are_told_from_now(span: timedelta, told: str) -> None:
    assert when(NOW + span, NOW, HELSINKI).words == told


def test_a_moment_is_exact_in_the_shops_own_time() -> None:
    found = when(datetime(2026, 11, 19, 22, 30, tzinfo=UTC), NOW, HELSINKI)
    assert found.exact == "Friday, 20 November 2026, 00:30:00 EET"
    assert (found.day, found.clock) == ("20 November 2026", "00:30")
    assert found.iso == "2026-11-19T22:30:00Z"


def test_what_is_shortened_keeps_to_its_length() -> None:
    assert shortened("a  b\nc") == "a b c"
    assert len(shortened("x" * 500)) == 70


# A journey in outline -----------------------------------------------------------------------

CHOICE = """
f:
  class: marketing
  topic: offers
  when: manual
  steps:
    - choose:
        - if: contact.points > 10
          then:
            - exit: rich
        - if: contact.points > 5
          then:
            - if: contact.orders.count == 0
              then: [exit: new]
              otherwise: [exit: old]
      otherwise:
        - wait: 1 day
    - send: cart/nudge
"""


def test_an_outline_keeps_branches_together_and_knows_which_end() -> None:
    outline = outline_flow(book_of(CHOICE), "f")
    choice, send = outline.cards
    assert outline.start == "A person enters by hand."
    assert [way.title for way in choice.ways][-1] == "Else"
    assert [way.ends for way in choice.ways] == [True, True, False]
    assert [len(way.cards) for way in choice.ways] == [1, 1, 1]
    assert send.step.id == "2"


def test_an_outline_holds_every_step_once() -> None:
    book = load_file(Path(__file__).parents[2] / "flows.yaml").book
    assert book is not None
    for flow in book.flows.values():
        outline = outline_flow(book, flow.name)
        assert sorted(ids_of(outline.cards)) == sorted(flow.program)


def ids_of(cards: tuple[Card, ...]) -> list[str]:
    inner = [name for card in cards for way in card.ways for name in ids_of(way.cards)]
    return [card.step.id for card in cards] + inner
