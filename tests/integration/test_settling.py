"""What operators settle by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.domain.errors import Conflict, NotFound
from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.journey import Situation
from orchestrator.ports import Delivery, DeliveryOutcome
from orchestrator.services import decisions
from orchestrator.services.settling import release, resolve_message
from tests.integration.shop import BRAND, Shop, checkout

ADA = "ada@example.com"


async def in_doubt(shop: Shop) -> MessageId:
    shop.provider.answers = [Delivery(DeliveryOutcome.UNKNOWN)]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=1)
    (message,) = shop.messages()
    assert message.state.value == "unknown"
    return message.id


async def test_a_message_resolved_as_sent_lets_its_run_go_on(shop: Shop) -> None:
    message_id = await in_doubt(shop)
    with shop.app.database.transaction() as uow:
        resolve_message(uow, message_id, shop.clock.now(), resend=False)
    await shop.pass_time(days=1)
    assert shop.outcomes() == [("first", "sent", None), ("second", "sent", None)]
    assert len(shop.provider.sent) == 1


async def test_a_message_to_be_resent_passes_the_gate_again(shop: Shop) -> None:
    message_id = await in_doubt(shop)
    await shop.receive("contact.unsubscribed", ADA)
    with shop.app.database.transaction() as uow:
        resolve_message(uow, message_id, shop.clock.now(), resend=True)
    await shop.settle()
    assert shop.outcomes()[0] == ("first", "not_sent", "no_consent")


async def test_only_what_is_in_doubt_can_be_resolved(shop: Shop) -> None:
    message_id = await in_doubt(shop)
    with shop.app.database.transaction() as uow:
        resolve_message(uow, message_id, shop.clock.now(), resend=False)
    with pytest.raises(Conflict, match="only unknown"), shop.app.database.transaction() as uow:
        resolve_message(uow, message_id, shop.clock.now(), resend=True)


async def test_a_parked_run_goes_on_once_it_is_released(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(_situation: Situation) -> None:
        raise RuntimeError("poison")

    with monkeypatch.context() as patched:
        patched.setattr(decisions, "advance", raising)
        await shop.receive("checkout.started", ADA, **checkout())
        for _ in range(8):
            await shop.pass_time(minutes=20)
    (run,) = shop.runs(ADA)
    with shop.app.database.transaction() as uow:
        assert release(uow, run.id, shop.clock.now()) == "run"
    with pytest.raises(Conflict, match="not parked"), shop.app.database.transaction() as uow:
        release(uow, run.id, shop.clock.now())
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [("first", "sent", None)]


async def test_a_message_that_stumbled_too_often_is_failed_and_can_be_released(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> None:
        raise RuntimeError("poison")

    live = shop.app.library.renderer(shop.app.library.live())
    with monkeypatch.context() as patched:
        patched.setattr(live, "render", raising, raising=False)
        await shop.receive("checkout.started", ADA, **checkout())
        await shop.pass_time(hours=1)
        for _ in range(6):
            shop.clock.moment += timedelta(minutes=10)
            await shop.settle()
    (message,) = shop.messages()
    assert (message.state.value, message.reason) == ("failed", "internal_error")
    with shop.app.database.transaction() as uow:
        assert release(uow, message.id, shop.clock.now()) == "message"
    await shop.settle()
    assert shop.outcomes()[0] == ("first", "sent", None)


ONE_STEP = f"""{BRAND}flows:
  cart:
    class: marketing
    topic: offers
    when: {{event: checkout.started}}
    key: event.checkout_id
    exit_when: {{event: order.placed, where: event.checkout_id == key}}
    steps:
      - send: cart/reminder
        id: first
LAST"""


async def doubted_to_the_end(shop: Shop, last: str = "") -> MessageId:
    """A message in doubt, whose run has gone on without it and is over."""
    shop.publish(ONE_STEP.replace("LAST", last))
    shop.provider.answers = [Delivery(DeliveryOutcome.UNKNOWN)]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=73)
    (message,), (run,) = shop.messages(), shop.runs(ADA)
    assert message.state.value == "unknown"
    assert run.ended_at is not None
    return message.id


async def resent(shop: Shop, message_id: MessageId) -> list[tuple[str, str, str | None]]:
    with shop.app.database.transaction() as uow:
        resolve_message(uow, message_id, shop.clock.now(), resend=True)
    await shop.settle()
    return shop.outcomes()


@pytest.mark.parametrize("last", ["", "      - exit: done\n"])
async def test_a_message_is_sent_again_though_its_run_has_come_to_its_end(
    shop: Shop, last: str
) -> None:
    message_id = await doubted_to_the_end(shop, last)
    assert await resent(shop, message_id) == [("first", "sent", None)]
    assert len(shop.provider.sent) == 1


async def test_it_is_not_sent_again_to_somebody_who_has_bought_since(shop: Shop) -> None:
    message_id = await doubted_to_the_end(shop)
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.pass_time(hours=1)
    assert await resent(shop, message_id) == [("first", "cancelled", "exited")]
    assert shop.provider.sent == []


async def test_it_is_not_sent_again_where_an_exit_ended_its_run(shop: Shop) -> None:
    message_id = await in_doubt(shop)
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.settle()
    assert await resent(shop, message_id) == [("first", "cancelled", "exited")]


async def test_an_unknown_id_is_named(shop: Shop) -> None:
    nobody = "01890000-0000-7000-8000-000000000000"
    with pytest.raises(NotFound, match=nobody), shop.app.database.transaction() as uow:
        release(uow, nobody, shop.clock.now())
