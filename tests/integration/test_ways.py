"""Each channel has its own way out: one that is slow or closed holds up no other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from orchestrator.channels.failover import LONG_REST, FailoverProvider
from orchestrator.domain.errors import TransientError
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.messages import MessageState
from orchestrator.ports import Delivery, DeliveryOutcome, MessageFilter, RenderedMessage
from orchestrator.services.dispatch import BATCH
from orchestrator.services.gatekeeping import Draft
from orchestrator.services.ways import LET_IN, Way
from orchestrator.storage.tables import message
from tests.integration.shop import BRAND, RecordingProvider, Shop

FLOWS = (
    BRAND
    + """\
flows:
  mail:
    class: transactional
    when: {event: order.placed}
    key: event.order_id
    steps: [send: cart/reminder]
  text:
    class: transactional
    when: {event: order.paid}
    key: event.order_id
    steps: [{send: cart/reminder, via: sms}]
"""
)
PHONE = "+358401234567"
WRONG = Delivery(DeliveryOutcome.RETRY, code="configuration", detail="login refused: 535")


@dataclass
class Slow(RecordingProvider):
    """Answers when it is let."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        self.asked += 1
        self.reached.set()
        await self.opened.wait()
        return await super().send(message_id, message)


def replace_provider(
    shop: Shop, channel: Channel, provider: RecordingProvider, let_in: float = LET_IN
) -> None:
    """As if the daemon had been started with it."""
    chain = FailoverProvider([provider], shop.clock, "ORCHESTRATOR_EMAIL_URL")
    shop.app.dispatching._ways[channel] = Way(chain, shop.clock, let_in)


async def order(shop: Shop, kind: str, count: int = 1, first: int = 0) -> None:
    for number in range(first, first + count):
        person = {"phone": f"{PHONE[:-2]}{number:02}"}
        await shop.receive(kind, f"ada{number}@example.com", contact=person, order_id=f"o{number}")
    while await shop.app.enrolling.run_once() + await shop.app.advancing.run_once():
        pass


def states(shop: Shop, flow: str) -> list[str]:
    return [row.state.value for row in shop.messages() if row.flow == flow]


@pytest.fixture
def open_flows(shop: Shop) -> Shop:
    shop.publish(FLOWS)
    return shop


async def test_a_slow_channel_holds_up_no_other(open_flows: Shop) -> None:
    shop, slow = open_flows, Slow(connections=2)
    replace_provider(shop, Channel.EMAIL, slow)
    await order(shop, "order.placed", 5)
    stuck = asyncio.create_task(shop.app.dispatching.run_channel(Channel.EMAIL))
    await asyncio.wait_for(slow.reached.wait(), 20)
    await order(shop, "order.paid", 3)
    await shop.app.dispatching.run_channel(Channel.SMS)
    for _ in range(200):
        if states(shop, "text") == ["sent"] * 3:
            break
        await asyncio.sleep(0.02)
    assert states(shop, "text") == ["sent"] * 3
    assert "sent" not in states(shop, "mail")
    slow.opened.set()
    await stuck
    await shop.settle()
    assert states(shop, "mail") == ["sent"] * 5


async def test_until_a_provider_has_answered_one_message_goes_alone(open_flows: Shop) -> None:
    shop, slow = open_flows, Slow(connections=4)
    replace_provider(shop, Channel.EMAIL, slow)
    await order(shop, "order.placed", 9)
    working = asyncio.create_task(shop.app.dispatching.run_channel(Channel.EMAIL))
    await asyncio.wait_for(slow.reached.wait(), 20)
    await asyncio.sleep(0.05)
    assert slow.asked == 1
    assert states(shop, "mail").count("sending") == 1
    slow.opened.set()
    assert await working == BATCH, "it claimed as many as it has connections; there are more"
    await shop.settle()
    assert states(shop, "mail") == ["sent"] * 9


async def test_a_first_answer_that_hangs_holds_up_no_other_message(open_flows: Shop) -> None:
    """The provider let it in, or it would be back: so the others need not wait ten minutes."""
    shop, slow = open_flows, Slow(connections=4)
    replace_provider(shop, Channel.EMAIL, slow, let_in=0.0)
    await order(shop, "order.placed", 4)
    await asyncio.wait_for(shop.app.dispatching.run_channel(Channel.EMAIL), 20)
    assert states(shop, "mail") == ["sending"] * 4
    slow.opened.set()
    await shop.settle()
    assert states(shop, "mail") == ["sent"] * 4


async def test_while_a_provider_rests_messages_wait_as_if_nothing_had_been_tried(
    open_flows: Shop,
) -> None:
    shop, provider = open_flows, RecordingProvider(answers=[WRONG, WRONG])
    replace_provider(shop, Channel.EMAIL, provider)
    await order(shop, "order.placed", 3)
    due = [row.not_before for row in shop.messages()]
    await shop.settle()
    assert len(provider.answers) == 1, "one login was tried"
    found = shop.messages()
    assert [(row.state.value, row.attempts) for row in found] == [("queued", 0)] * 3
    assert [row.not_before for row in found] == due
    shop.clock.moment += LONG_REST.first - timedelta(seconds=1)
    await shop.settle()
    assert len(provider.answers) == 1
    shop.clock.moment += timedelta(seconds=1)
    await shop.settle()
    assert provider.answers == []
    assert provider.sent == []
    shop.clock.moment += LONG_REST.first * 2
    await shop.settle()
    assert [(row.state.value, row.attempts) for row in shop.messages()] == [("sent", 1)] * 3


async def test_a_daemon_started_with_mended_settings_sends_at_once(open_flows: Shop) -> None:
    shop = open_flows
    replace_provider(shop, Channel.EMAIL, RecordingProvider(answers=[WRONG]))
    await order(shop, "order.placed", 3)
    await shop.settle()
    replace_provider(shop, Channel.EMAIL, RecordingProvider())
    await shop.settle()
    assert states(shop, "mail") == ["sent"] * 3


async def test_a_rest_of_one_channel_is_none_of_another(open_flows: Shop) -> None:
    shop = open_flows
    replace_provider(shop, Channel.EMAIL, RecordingProvider(answers=[WRONG]))
    await order(shop, "order.placed", 2)
    await order(shop, "order.paid", 2, first=2)
    await shop.settle()
    assert states(shop, "mail") == ["queued"] * 2
    assert states(shop, "text") == ["sent"] * 2


async def test_a_try_that_was_none_leaves_no_attempt_behind(open_flows: Shop) -> None:
    shop = open_flows
    late = Delivery(DeliveryOutcome.RETRY, code="late", retry_after=timedelta())
    later = Delivery(DeliveryOutcome.RETRY, code="451")
    replace_provider(shop, Channel.EMAIL, RecordingProvider(answers=[late, WRONG, later]))
    await order(shop, "order.placed")
    await shop.settle()
    shop.clock.moment += LONG_REST.first
    await shop.settle()
    assert [(row.state.value, row.attempts) for row in shop.messages()] == [("queued", 1)]
    await shop.pass_time(hours=1)
    (sent,) = shop.messages()
    assert (sent.state, sent.attempts) == (MessageState.SENT, 2)


async def test_what_was_claimed_is_given_back_when_the_process_stops(open_flows: Shop) -> None:
    shop, slow = open_flows, Slow(connections=2)
    replace_provider(shop, Channel.EMAIL, slow)
    await order(shop, "order.placed", 5)
    working = asyncio.create_task(shop.app.dispatching.run_once())
    await asyncio.wait_for(slow.reached.wait(), 20)
    shop.app.dispatching.stop()
    slow.opened.set()
    await working
    await shop.app.dispatching.drain()
    assert sorted(states(shop, "mail")) == ["queued"] * 4 + ["sent"]
    with shop.app.database.transaction() as uow:
        again = uow.messages.claim_due(shop.clock.now(), 9, timedelta(seconds=20), "another")
        assert len(again) == 4
        assert len(uow.messages.find(MessageFilter())) == 5


async def test_the_next_batch_is_ready_while_one_waits_for_its_connections(
    open_flows: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.services.dispatch.BATCH", 2)
    shop, slow = open_flows, Slow(connections=1)
    replace_provider(shop, Channel.EMAIL, slow)
    slow.opened.set()
    await order(shop, "order.placed")
    dispatching = shop.app.dispatching
    assert await dispatching.run_channel(Channel.EMAIL), "one went alone and proved the way"
    await dispatching.drain()
    slow.opened.clear()
    await order(shop, "order.placed", 5, first=1)
    assert await dispatching.run_channel(Channel.EMAIL) == 2
    second = asyncio.create_task(dispatching.run_channel(Channel.EMAIL))
    for _ in range(200):
        if leased(shop) == 4:
            break
        await asyncio.sleep(0.02)
    assert leased(shop) == 4, "two batches are claimed, and no third"
    assert states(shop, "mail").count("sending") == 1, "no more than connections"
    slow.opened.set()
    assert await second == 2
    await shop.settle()
    assert states(shop, "mail") == ["sent"] * 6


async def test_a_batch_that_cannot_be_handed_over_fails_the_next_turn_and_is_sent_later(
    open_flows: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.services.dispatch.BATCH", 2)
    shop, provider = open_flows, RecordingProvider()
    replace_provider(shop, Channel.EMAIL, provider)
    await order(shop, "order.placed")
    dispatching = shop.app.dispatching
    await dispatching.run_channel(Channel.EMAIL)
    await order(shop, "order.placed", 4, first=1)
    with monkeypatch.context() as broken:
        broken.setattr(dispatching, "_judge", unreachable)
        assert await dispatching.run_channel(Channel.EMAIL) == 2
        with pytest.raises(TransientError):
            await dispatching.run_channel(Channel.EMAIL)
    await shop.pass_time(minutes=1)
    assert states(shop, "mail") == ["sent"] * 5


async def unreachable(*_: object) -> list[Draft]:
    raise TransientError("the database cannot be reached")


def leased(shop: Shop) -> int:
    """How many messages are claimed or being sent."""
    with shop.app.database.engine.connect() as connection:
        held = select(func.count()).where(message.c.lease_token.is_not(None))
        return int(connection.scalar(held) or 0)
