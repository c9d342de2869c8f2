from __future__ import annotations

from enum import StrEnum

import pytest

from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.messages import (
    FINAL_STATES,
    MOVES,
    WAITING_STATES,
    CancelledReason,
    FailedReason,
    HeldReason,
    MessageState,
    NotSentReason,
)
from orchestrator.ports import MessageChange

ALL = frozenset(MessageState)


def _reached_from(state: MessageState) -> frozenset[MessageState]:
    reached: set[MessageState] = set()
    ahead = {state}
    while ahead:
        reached |= ahead
        ahead = {target for one in ahead for target in MOVES[one]} - reached
    return frozenset(reached)


def test_every_state_has_its_moves_and_leads_to_known_states() -> None:
    assert frozenset(MOVES) == ALL
    assert frozenset().union(*MOVES.values()) <= ALL


def test_no_state_leads_to_itself() -> None:
    assert not [state for state, targets in MOVES.items() if state in targets]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_final_state_never_leads_back_to_sending(state: MessageState) -> None:
    assert _reached_from(state) <= FINAL_STATES


def test_every_state_is_final_waiting_or_on_its_way() -> None:
    assert not FINAL_STATES & WAITING_STATES
    on_its_way = ALL - FINAL_STATES - WAITING_STATES
    assert on_its_way == {MessageState.SENDING, MessageState.UNKNOWN}


@pytest.mark.parametrize("state", sorted(ALL))
def test_every_message_can_come_to_an_end(state: MessageState) -> None:
    assert _reached_from(state) & FINAL_STATES


@pytest.mark.parametrize("state", sorted(ALL))
def test_every_state_can_be_reached(state: MessageState) -> None:
    assert state in _reached_from(MessageState.QUEUED)


def test_only_waiting_messages_are_cancelled_refused_or_begin_to_be_sent() -> None:
    for target in (MessageState.CANCELLED, MessageState.NOT_SENT, MessageState.SENDING):
        assert {state for state, moves in MOVES.items() if target in moves} == WAITING_STATES


def test_a_message_in_doubt_is_sent_again_only_by_way_of_the_queue() -> None:
    assert MessageState.SENDING not in MOVES[MessageState.UNKNOWN]
    assert MessageState.QUEUED in MOVES[MessageState.UNKNOWN]


@pytest.mark.parametrize("evidence", ["sent", "delivered", "bounced", "complained", "failed"])
def test_late_evidence_settles_a_message_in_doubt(evidence: str) -> None:
    assert MessageState(evidence) in MOVES[MessageState.UNKNOWN]


def test_a_bounce_after_delivery_and_a_complaint_after_a_bounce_are_recorded() -> None:
    assert MessageState.BOUNCED in MOVES[MessageState.DELIVERED]
    assert MessageState.COMPLAINED in MOVES[MessageState.BOUNCED]


def test_a_late_delivery_never_hides_a_bounce_or_a_complaint() -> None:
    for state in (MessageState.BOUNCED, MessageState.COMPLAINED):
        assert MessageState.DELIVERED not in _reached_from(state)


@pytest.mark.parametrize("state", sorted(ALL))
@pytest.mark.parametrize("target", sorted(ALL))
def test_a_change_to_be_written_is_a_move_that_exists(
    state: MessageState, target: MessageState
) -> None:
    retried = (state, target) == (MessageState.FAILED, MessageState.QUEUED)
    if target in MOVES[state] or target is state or retried:
        assert MessageChange(MessageId("m"), target, frozenset({state})).state is target
    else:
        with pytest.raises(ValueError, match="no message goes"):
            MessageChange(MessageId("m"), target, frozenset({state}))


def test_a_change_may_only_leave_states_that_all_lead_there() -> None:
    some = frozenset({MessageState.SENDING, MessageState.QUEUED})
    with pytest.raises(ValueError, match="queued"):
        MessageChange(MessageId("m"), MessageState.SENT, some)


NOT_SENT = """
no_consent unconfirmed objected suppressed unreachable erased cap expired late sunset holdout
lint render_error
"""
STATES = """
queued held sending sent delivered bounced complained failed unknown cancelled not_sent
"""


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        ("quiet_hours cap rate", HeldReason),
        (NOT_SENT, NotSentReason),
        ("exited replaced merged paused moved", CancelledReason),
        ("rejected invalid_address provider_error internal_error", FailedReason),
        (STATES, MessageState),
    ],
    ids=["held", "not_sent", "cancelled", "failed", "states"],
)
def test_words_are_a_closed_list(words: str, reasons: type[StrEnum]) -> None:
    assert {reason.value for reason in reasons} == set(words.split())
