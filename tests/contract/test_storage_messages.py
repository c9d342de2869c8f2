"""The outbox: by priority, conditional, and `sending` only while the run is live."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from orchestrator.domain.enrolments import EndReason
from orchestrator.domain.flows import Channel
from orchestrator.domain.messages import CancelledReason, MessageState
from orchestrator.ports import Attempt, MessageChange, MessageFilter
from orchestrator.storage.tables import attempt, message

LEASE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
QUEUED, HELD, SENDING, SENT = (
    MessageState.QUEUED,
    MessageState.HELD,
    MessageState.SENDING,
    MessageState.SENT,
)
WAITING = frozenset({QUEUED, HELD})


def person_with_run(world: Any, name: str = "ada") -> Any:
    return world.run(world.contact(f"{name}@example.com"))


def start_sending(world: Any, database: Any, *messages: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        unit.messages.claim_due(now, 99, LEASE, "token")
        ids = {one.id for one in messages}
        assert unit.messages.mark_sending({one: {} for one in ids}, "token", now, LEASE) == ids


def test_a_message_is_read_back_as_it_was_queued(world: Any, database: Any) -> None:
    run = person_with_run(world)
    new = world.message(run, variant="plain", decision={"why": "\u00e9"}, expires_at=run.due_at)
    with database.transaction() as unit:
        stored = unit.messages.load([new.id])[new.id]
    for name in ("enrolment_id", "contact_id", "step", "channel", "template", "message_class"):
        assert getattr(stored, name) == getattr(new, name)
    assert (stored.state, stored.created_at) == (QUEUED, world.clock.now())
    assert (stored.variant, stored.decision, stored.expires_at) == (
        "plain",
        {"why": "\u00e9"},
        run.due_at,
    )


def test_a_step_has_one_message_per_channel(world: Any, database: Any) -> None:
    run = person_with_run(world)
    world.message(run)
    again, sms = world.new_message(run), world.new_message(run, channel=Channel.SMS)
    with database.transaction() as unit:
        assert unit.messages.insert([again, sms], world.clock.now()) == {sms.id}


def test_messages_are_claimed_by_priority_then_by_age(world: Any, database: Any) -> None:
    now = world.clock.now()
    runs = [person_with_run(world, f"p{number}") for number in range(5)]
    low = world.message(runs[0], priority=10, not_before=now - 3 * HOUR)
    high_new = world.message(runs[1], priority=90, not_before=now - HOUR)
    high_old = world.message(runs[2], priority=90, not_before=now - 2 * HOUR)
    world.message(runs[3], priority=100, not_before=now + HOUR)
    middle = world.message(runs[4], priority=50)
    with database.transaction() as unit:
        first = unit.messages.claim_due(now, 3, LEASE, "mine")
        assert [one.id for one in first] == [high_old.id, high_new.id, middle.id]
        rest = unit.messages.claim_due(now, 3, LEASE, "yours")
        assert [one.id for one in rest] == [low.id]
        assert unit.messages.claim_due(now, 3, LEASE, "theirs") == []


def test_a_held_message_is_claimed_when_its_time_has_come(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world))
    now = world.clock.now()
    hold = MessageChange(new.id, HELD, WAITING, reason="quiet_hours", not_before=now + HOUR)
    with database.transaction() as unit:
        assert unit.messages.apply([hold], now) == {new.id}
        assert unit.messages.claim_due(now, 9, LEASE, "token") == []
        claimed = unit.messages.claim_due(now + HOUR, 9, LEASE, "token")
    assert [(one.id, one.state, one.reason) for one in claimed] == [(new.id, HELD, "quiet_hours")]


def test_a_claim_whose_lease_has_ended_is_free_again(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world))
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.messages.claim_due(now, 9, LEASE, "first")
        assert unit.messages.claim_due(now, 9, LEASE, "second") == []
        assert unit.messages.claim_due(now + LEASE, 9, LEASE, "second")
        assert unit.messages.mark_sending({new.id: {}}, "first", now, LEASE) == set()
        assert unit.messages.mark_sending({new.id: {}}, "second", now, LEASE) == {new.id}


def test_sending_records_the_decision_and_the_moment(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world))
    now = world.clock.now()
    with database.transaction() as unit:
        unit.messages.claim_due(now, 9, LEASE, "token")
        unit.messages.mark_sending({new.id: {"consent": ["s", 4]}}, "token", now, LEASE)
        stored = unit.messages.load([new.id])[new.id]
        assert unit.messages.mark_sending({new.id: {}}, "token", now, LEASE) == set()
    assert (stored.state, stored.sending_at, stored.attempts) == (SENDING, now, 1)
    assert stored.decision == {"consent": ["s", 4]}


def test_a_message_of_a_run_that_has_ended_is_not_sent(world: Any, database: Any) -> None:
    run = person_with_run(world)
    new = world.message(run)
    now = world.clock.now()
    with database.transaction() as unit:
        unit.messages.claim_due(now, 9, LEASE, "token")
        unit.enrolments.end([run.id], EndReason.EXITED, now)
        assert unit.messages.mark_sending({new.id: {}}, "token", now, LEASE) == set()
        assert unit.messages.load([new.id])[new.id].state is QUEUED


def test_a_message_being_sent_is_never_claimed_again(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world))
    start_sending(world, database, new)
    much_later = world.clock.now() + 100 * HOUR
    with database.transaction() as unit:
        assert unit.messages.claim_due(much_later, 9, LEASE, "other") == []
        assert unit.messages.expired_sending(world.clock.now(), 9) == []
        assert [one.id for one in unit.messages.expired_sending(much_later, 9)] == [new.id]
        assert unit.messages.expired_sending(much_later, 0) == []


def test_a_change_is_written_only_from_the_states_it_leaves(world: Any, database: Any) -> None:
    runs = [person_with_run(world, f"p{number}") for number in range(2)]
    sending, queued = world.message(runs[0]), world.message(runs[1])
    start_sending(world, database, sending)
    now = world.clock.now() + HOUR
    changes = [
        MessageChange(
            one.id, SENT, frozenset({SENDING}), sent_at=now, provider="smtp", provider_id="<1>"
        )
        for one in (sending, queued)
    ]
    with database.transaction() as unit:
        assert unit.messages.apply(changes, now) == {sending.id}
        assert unit.messages.apply(changes, now) == set()
        stored = unit.messages.load([sending.id, queued.id])
    sent = stored[sending.id]
    assert (sent.state, sent.sent_at, sent.provider, sent.provider_id) == (SENT, now, "smtp", "<1>")
    assert (stored[queued.id].state, stored[queued.id].sent_at) == (QUEUED, None)


def test_a_change_keeps_what_it_does_not_name(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world), decision={"a": 1})
    start_sending(world, database, new)
    now = world.clock.now()
    sent = MessageChange(new.id, SENT, frozenset({SENDING}), sent_at=now, locale="fi")
    delivered = MessageChange(new.id, MessageState.DELIVERED, frozenset({SENT}))
    with database.transaction() as unit:
        unit.messages.apply([sent], now)
        unit.messages.apply([delivered], now)
        stored = unit.messages.load([new.id])[new.id]
    assert (stored.state, stored.sent_at, stored.locale) == (MessageState.DELIVERED, now, "fi")
    assert (stored.not_before, stored.sending_at) == (now, now)


def test_a_message_known_not_to_have_left_takes_up_no_cap(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world))
    start_sending(world, database, new)
    now = world.clock.now()
    again = MessageChange(new.id, QUEUED, frozenset({SENDING}), not_before=now + HOUR)
    with database.transaction() as unit:
        assert unit.messages.apply([again], now) == {new.id}
        stored = unit.messages.load([new.id])[new.id]
        assert (stored.sending_at, stored.not_before, stored.attempts) == (None, now + HOUR, 1)
        assert unit.messages.claim_due(now + HOUR, 9, LEASE, "token")


def test_different_changes_of_one_batch_leave_different_states(world: Any, database: Any) -> None:
    runs = [person_with_run(world, f"p{number}") for number in range(2)]
    sending, queued = world.message(runs[0]), world.message(runs[1])
    start_sending(world, database, sending)
    changes = [
        MessageChange(sending.id, MessageState.FAILED, frozenset({SENDING}), reason="rejected"),
        MessageChange(queued.id, MessageState.NOT_SENT, WAITING, reason="no_consent"),
    ]
    with database.transaction() as unit:
        assert unit.messages.apply(changes, world.clock.now()) == {sending.id, queued.id}
        stored = unit.messages.load([sending.id, queued.id])
    assert (stored[sending.id].state, stored[sending.id].reason) == ("failed", "rejected")
    assert (stored[queued.id].state, stored[queued.id].reason) == ("not_sent", "no_consent")


def test_only_waiting_messages_are_cancelled(world: Any, database: Any) -> None:
    run, other = person_with_run(world), person_with_run(world, "bob")
    sending = world.message(run)
    start_sending(world, database, sending)
    queued, held = world.message(run, step="second"), world.message(run, step="third")
    spared = world.message(other)
    now = world.clock.now()
    with database.transaction() as unit:
        unit.messages.apply([MessageChange(held.id, HELD, WAITING, reason="cap")], now)
        done = unit.messages.cancel_waiting([run.id], CancelledReason.EXITED, now)
        assert done == {queued.id, held.id}
        stored = unit.messages.load([sending.id, queued.id, spared.id])
    assert (stored[queued.id].state, stored[queued.id].reason) == ("cancelled", "exited")
    assert (stored[sending.id].state, stored[spared.id].state) == (SENDING, QUEUED)


def test_tries_are_recorded_once_and_lie_beside_their_message(world: Any, database: Any) -> None:
    new = world.message(person_with_run(world))
    now = world.clock.now()
    tries = [Attempt(new.id, 1, "smtp", now, now, "retry", "421", "busy")]
    with database.transaction() as unit:
        unit.messages.record_attempts(tries)
        unit.messages.record_attempts([*tries, Attempt(new.id, 2, "smtp", now, now, "sent")])
        unit.messages.record_attempts([])
    with database.engine.connect() as connection:
        rows = connection.execute(select(attempt).order_by(attempt.c.number)).all()
        shard = connection.scalar(select(message.c.shard))
    assert [(row.number, row.outcome, row.shard) for row in rows] == [
        (1, "retry", shard),
        (2, "sent", shard),
    ]


def test_the_messages_of_runs_come_oldest_first(world: Any, database: Any) -> None:
    run, other = person_with_run(world), person_with_run(world, "bob")
    first = world.message(run, step="a")
    world.clock.step(HOUR)
    second = world.message(run, step="b")
    theirs = world.message(other)
    with database.transaction() as unit:
        found = unit.messages.of_enrolments([run.id, other.id])
    assert [one.id for one in found[run.id]] == [first.id, second.id]
    assert [one.id for one in found[other.id]] == [theirs.id]
    with database.transaction() as unit:
        rest = unit.messages.of_enrolments([run.id, other.id], besides=[first.id, theirs.id])
    assert {key: [one.id for one in found] for key, found in rest.items()} == {run.id: [second.id]}


def test_listings_filter_and_order(world: Any, database: Any) -> None:
    run, other = person_with_run(world), person_with_run(world, "bob")
    start = world.clock.now()
    first = world.message(run)
    start_sending(world, database, first)
    world.clock.step(HOUR)
    second = world.message(other, flow="welcome")
    world.clock.step(HOUR)
    third = world.message(run, step="b")

    def found(**wanted: Any) -> list[Any]:
        with database.read() as unit:
            return [one.id for one in unit.messages.find(MessageFilter(**wanted))]

    assert found() == [first.id, second.id, third.id]
    assert found(newest_first=True, limit=2) == [third.id, second.id]
    assert found(contact_id=run.contact_id) == [first.id, third.id]
    assert found(flow="welcome") == [second.id]
    assert found(states=frozenset({SENDING})) == [first.id]
    assert found(since=start + HOUR) == [second.id, third.id]
    assert found(limit=0) == []


def test_waiting_work_is_counted(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.read() as unit:
        empty = unit.due_counts(now)
    assert (empty.events, empty.enrolments, empty.messages, empty.oldest_due_at) == (0, 0, 0, None)
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    run = world.run(ada, due_at=now - HOUR)
    world.run(bob, due_at=now + HOUR)
    world.message(run, not_before=now - 2 * HOUR)
    world.event(ada, "e1")
    with database.read() as unit:
        due = unit.due_counts(now)
    assert (due.events, due.enrolments, due.messages) == (1, 1, 1)
    assert due.oldest_due_at == now - 2 * HOUR


def test_the_latest_message_to_somebody_is_the_one_sent_last_on_the_channel(
    world: Any, database: Any
) -> None:
    ada, bea = (person_with_run(world, name) for name in ("ada", "bea"))
    older = world.message(ada, channel=Channel.SMS)
    start_sending(world, database, older)
    world.clock.step(HOUR)
    newer = world.message(bea, channel=Channel.SMS)
    mail = world.message(ada, step="second")
    start_sending(world, database, newer, mail)
    world.message(ada, step="third", channel=Channel.SMS)  # it only waits
    people = [ada.contact_id, bea.contact_id]
    with database.transaction() as unit:
        assert unit.messages.latest_to(people, Channel.SMS).id == newer.id
        assert unit.messages.latest_to(people[:1], Channel.SMS).id == older.id
        assert unit.messages.latest_to(people, Channel.EMAIL).id == mail.id
        assert unit.messages.latest_to(people, Channel.WHATSAPP) is None
        assert unit.messages.latest_to([], Channel.SMS) is None
