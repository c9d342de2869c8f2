"""The cart journey from event to message, on both databases and a stepping clock."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from orchestrator.cli.messages import as_row
from orchestrator.domain.consent import ConsentStatus
from orchestrator.domain.flows import Channel
from orchestrator.domain.messages import MessageState
from orchestrator.ports import Delivery, DeliveryOutcome, LinkClaims
from tests.integration.shop import BRAND, CART, START, Shop, checkout

ADA = "ada@example.com"


async def test_a_left_checkout_is_reminded_of_after_its_wait(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(minutes=59)
    assert shop.messages() == []
    await shop.pass_time(minutes=1)
    (message,) = shop.messages()
    assert message.state is MessageState.SENT
    assert message.created_at == START + timedelta(hours=1)
    ((_, mail),) = shop.provider.sent
    assert mail.envelope_to == ADA
    assert b"Notebook" in mail.body


async def test_the_journey_ends_after_its_last_message(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(days=3)
    assert shop.outcomes() == [("first", "sent", None), ("second", "sent", None)]
    (run,) = shop.runs(ADA)
    assert run.end_reason == "completed"


async def test_an_order_of_this_checkout_ends_the_run(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(minutes=30)
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.pass_time(days=3)
    assert shop.messages() == []
    (run,) = shop.runs(ADA)
    assert run.end_reason == "exited"


async def test_an_order_of_another_checkout_changes_nothing(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.receive("order.placed", ADA, checkout_id="c2", order_id="o2")
    await shop.pass_time(hours=2)
    assert shop.outcomes() == [("first", "sent", None)]


async def test_the_gate_sees_an_order_that_journeys_have_not_heard_yet(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    shop.clock.moment += timedelta(hours=1)
    await shop.app.advancing.run_once()
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.app.dispatching.run_once()
    await shop.app.dispatching.drain()
    assert shop.outcomes() == [("first", "cancelled", "exited")]
    assert shop.provider.sent == []


async def test_a_repeated_event_starts_nothing(shop: Shop) -> None:
    assert await shop.receive("checkout.started", ADA, event_id="one", **checkout()) is True
    assert await shop.receive("checkout.started", ADA, event_id="one", **checkout()) is False
    await shop.pass_time(hours=2)
    assert len(shop.runs(ADA)) == 1


async def test_checkout_started_is_heard_once_per_checkout(shop: Shop) -> None:
    for _ in range(3):
        await shop.receive("checkout.started", ADA, **checkout())
    await shop.receive("checkout.updated", ADA, **checkout())
    await shop.pass_time(days=3)
    assert len(shop.runs(ADA)) == 1


async def test_waits_count_from_the_moment_the_checkout_has_an_address(shop: Shop) -> None:
    await shop.receive("checkout.started", **checkout())
    await shop.pass_time(hours=5)
    assert shop.messages() == []
    await shop.receive("checkout.updated", ADA, **checkout())
    await shop.pass_time(minutes=59)
    assert shop.messages() == []
    await shop.pass_time(minutes=1)
    assert shop.outcomes() == [("first", "sent", None)]


async def test_a_checkout_whose_order_came_first_starts_nothing(shop: Shop) -> None:
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(days=2)
    assert shop.runs(ADA) == []


async def test_without_consent_every_send_is_refused_with_its_reason(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout(consent={"email": "unknown"}))
    await shop.pass_time(days=3)
    assert shop.outcomes() == [
        ("first", "not_sent", "no_consent"),
        ("second", "not_sent", "no_consent"),
    ]


async def test_one_click_holds_from_the_moment_it_is_answered(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=1)
    (message,) = shop.messages()
    claims = LinkClaims(message.contact_id, message.id, Channel.EMAIL, "offers")
    assert await shop.app.preferences.unsubscribe(claims) is True
    assert await shop.app.preferences.unsubscribe(claims) is False
    await shop.pass_time(days=2)
    assert shop.outcomes() == [("first", "sent", None), ("second", "not_sent", "no_consent")]


async def test_an_opt_out_narrows_to_its_topic(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    claims = LinkClaims(shop.contact_id(ADA), None, Channel.EMAIL, "news")
    await shop.app.preferences.unsubscribe(claims)
    await shop.pass_time(days=3)
    assert {state for _, state, _ in shop.outcomes()} == {"sent"}


async def test_what_the_provider_refuses_for_good_fails_and_the_run_goes_on(shop: Shop) -> None:
    refused = Delivery(DeliveryOutcome.REJECTED, reason="invalid_address", code="550")
    shop.provider.answers = [refused]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(days=3)
    assert shop.outcomes() == [("first", "failed", "invalid_address"), ("second", "sent", None)]


async def test_what_did_not_leave_is_tried_again(shop: Shop) -> None:
    later = Delivery(DeliveryOutcome.RETRY, code="451", retry_after=timedelta(minutes=2))
    shop.provider.answers = [later]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [("first", "queued", None)]
    await shop.pass_time(minutes=1)
    assert shop.outcomes() == [("first", "queued", None)]
    await shop.pass_time(minutes=30)
    assert shop.outcomes() == [("first", "sent", None)]


async def test_what_is_in_doubt_is_never_sent_again_and_holds_the_run(shop: Shop) -> None:
    shop.provider.answers = [Delivery(DeliveryOutcome.UNKNOWN)]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=72)
    assert shop.outcomes() == [("first", "unknown", None)]
    await shop.pass_time(days=3)
    assert shop.outcomes() == [("first", "unknown", None), ("second", "sent", None)]


async def test_runs_keep_the_steps_they_entered_with(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    shop.publish(BRAND + CART.replace("wait: 1 hour", "wait: 5 hours"))
    await shop.receive("checkout.started", "bea@example.com", **checkout("c2"))
    await shop.pass_time(hours=1)
    assert [mail.envelope_to for _, mail in shop.provider.sent] == [ADA]
    await shop.pass_time(hours=4)
    assert len(shop.provider.sent) == 2


async def test_an_order_is_counted_once_in_the_persons_history(shop: Shop) -> None:
    for kind in ("order.placed", "order.paid", "order.fulfilled"):
        await shop.receive(kind, ADA, order_id="o1", total="40.00")
    await shop.receive("order.placed", ADA, order_id="o2", total="2.50")
    await shop.receive("order.cancelled", ADA, order_id="o2", total="2.50")
    orders = shop.contact(ADA).orders
    assert (orders.count, str(orders.total)) == (1, "40.00")


async def test_consent_of_an_event_is_recorded_for_its_channel(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout(consent={"email": "yes", "sms": "no"}))
    with shop.app.database.read() as uow:
        states = uow.consents.states([shop.contact_id(ADA)])[shop.contact_id(ADA)]
    found = {(state.channel, state.topic, state.status) for state in states}
    granted = ConsentStatus.GRANTED
    assert found == {(Channel.EMAIL, "offers", granted), (Channel.EMAIL, "news", granted)}


async def test_two_checkouts_of_one_person_run_side_by_side(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout("c1"))
    await shop.receive("checkout.started", ADA, **checkout("c2"))
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.pass_time(hours=2)
    ended = {run.key: run.end_reason for run in shop.runs(ADA)}
    assert ended == {"c1": "exited", "c2": None}
    assert len(shop.provider.sent) == 1


async def test_a_condition_can_count_what_the_person_has_done(shop: Shop) -> None:
    busy = "where: count_events('product.viewed', days(1)) >= 2"
    shop.publish(
        (BRAND + CART).replace(
            "when: {event: checkout.started}", f"when:\n      event: checkout.started\n      {busy}"
        )
    )
    await shop.receive("product.viewed", ADA)
    await shop.receive("checkout.started", ADA, **checkout("c1"))
    await shop.settle()
    assert shop.runs(ADA) == []
    await shop.receive("product.viewed", ADA)
    await shop.receive("checkout.started", ADA, **checkout("c2"))
    await shop.settle()
    assert [run.key for run in shop.runs(ADA)] == ["c2"]


async def test_a_shared_telephone_gives_nobody_anothers_mail(shop: Shop) -> None:
    bea, phone = "bea@example.com", {"phone": "+358401234567"}
    await shop.receive("checkout.started", ADA, contact=phone, **checkout("a"))
    await shop.receive("checkout.started", bea, contact=phone, **checkout("b"))
    await shop.pass_time(hours=2)
    assert [mail.envelope_to for _, mail in shop.provider.sent] == [ADA, bea]
    assert shop.contact_id(ADA) != shop.contact_id(bea)


async def test_a_click_is_known_to_the_run_whose_message_it_was(shop: Shop) -> None:
    waits = CART.replace(
        "- wait: 1 day",
        "- wait_for: first.clicked\n        within: 1 day\n        then: [{exit: looked}]",
    )
    shop.publish(BRAND + waits)
    for number in ("a", "b"):
        await shop.receive("checkout.started", ADA, **checkout(number))
    await shop.pass_time(hours=1)
    clicked = next(m for m in shop.messages() if m.step == "first")
    await shop.receive(
        "message.clicked", ADA, data={"step": "first", "message_id": str(clicked.id)}
    )
    await shop.pass_time(minutes=1)
    ended = {run.id: run.end_reason for run in shop.runs(ADA)}
    assert ended.pop(clicked.enrolment_id) == "left"
    assert list(ended.values()) == [None]


async def test_pressing_unsubscribe_again_adds_nothing_to_the_ledger(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    contact_id = shop.contact_id(ADA)
    claims = LinkClaims(contact_id, channel=Channel.EMAIL, topic="offers")

    def records() -> int:
        with shop.app.database.read() as uow:
            return len(uow.consents.records(contact_id))

    assert await shop.app.preferences.unsubscribe(claims)
    once = records()
    assert not await shop.app.preferences.unsubscribe(claims)
    assert records() == once
    shop.clock.moment += timedelta(hours=1)
    await shop.receive("checkout.started", ADA, **checkout("c2"))
    assert await shop.app.preferences.unsubscribe(claims), "a newer yes is withdrawn like the first"


async def test_an_address_that_no_header_can_hold_is_unreachable(shop: Shop) -> None:
    await shop.receive("checkout.started", "zo\u00eb@example.com", **checkout())
    await shop.pass_time(hours=2)
    assert shop.outcomes() == [("first", "not_sent", "unreachable")]
    (row,) = [as_row(message, {}) for message in shop.messages()]
    assert row["problem"] == "not an address that mail can be sent to"


async def test_whoever_took_over_a_checkout_keeps_its_basket_to_themselves(shop: Shop) -> None:
    theirs = "- if: checkout.total > 100\n        then: [exit: theirs]\n      - send: cart/reminder"
    shop.publish(BRAND + CART.replace("- send: cart/reminder", theirs))
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    items = [{"name": "A secret gift", "quantity": 1, "price": Decimal(500)}]
    later = checkout(items=items, total=Decimal(500))
    await shop.receive("checkout.updated", "bea@example.com", **later)
    await shop.pass_time(hours=1)
    ((_, mail),) = shop.provider.sent
    assert mail.envelope_to == ADA
    assert b"A secret gift" not in mail.body


async def test_the_mail_shows_the_basket_as_it_is_now(shop: Shop) -> None:
    first = {"name": "Taken out again", "quantity": 1, "price": Decimal(9)}
    now = {"name": "Put in since", "quantity": 1, "price": Decimal(12)}
    await shop.receive("checkout.started", ADA, **checkout(items=[first], total=Decimal(9)))
    await shop.settle()
    await shop.receive("checkout.updated", ADA, **checkout(items=[now], total=Decimal(12)))
    await shop.pass_time(hours=1)
    ((_, mail),) = shop.provider.sent
    assert b"Put in since" in mail.body
    assert b"Taken out again" not in mail.body
