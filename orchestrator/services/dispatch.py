"""The outbox goes out: claim, render, gate, send, record."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from orchestrator.domain.errors import LintFailed, PermanentError, RecipientRejected, TransientError
from orchestrator.domain.facts import output_names
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.messages import WAITING_STATES, Message, NotSentReason
from orchestrator.ports import (
    Clock,
    Database,
    Delivery,
    DeliveryOutcome,
    FlowLibrary,
    Ids,
    Lane,
    MessageChange,
    Metrics,
    Provider,
    RenderedMessage,
    RenderRequest,
    UnitOfWork,
)
from orchestrator.services.gatekeeping import Draft, Gatekeeper
from orchestrator.services.results import Result, Results
from orchestrator.services.runs import read_backdrop
from orchestrator.services.stumbles import put_aside
from orchestrator.services.ways import Way

log = logging.getLogger(__name__)

BATCH: Final = 100
LEASE: Final = timedelta(seconds=20)
"""After a crash, claimed messages are taken up again this much later."""
LAST_WORDS: Final = 1.0
"""Seconds for providers to say what became of messages broken off, and to write it down."""
SLICE: Final = 0.02
"""Seconds of rendering after which other work gets its turn."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Messages leased to `token`: rendered, on their way to their connections."""

    token: str
    claimed: int
    drafts: Mapping[Channel, list[Draft]]


class Dispatching:
    """Sends what is due, never more at once than connections are open.

    Channels do not wait for each other: each has connections of its own, and its own tick.
    """

    def __init__(
        self,
        database: Database,
        library: FlowLibrary,
        providers: Mapping[Channel, Provider],
        results: Results,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._library = library
        self._results = results
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._gatekeeper = Gatekeeper(library, clock)
        self._ways = {channel: Way(provider, clock) for channel, provider in providers.items()}
        self._sending: set[asyncio.Task[None]] = set()
        self._handing: dict[Channel, asyncio.Task[None]] = {}
        self._stopping = False

    async def run_once(self, limit: int = BATCH, channels: Collection[Channel] = ()) -> int:
        """Take a batch of due messages to their connections; returns how many were claimed.

        Of these channels, or of all. Nothing is claimed for a channel whose provider rests, and
        nothing at all while earlier results cannot be stored: what cannot be recorded must not
        be sent.
        """
        batch = await self._prepared(limit, channels or self._ways)
        await self._hand_over(batch)
        return batch.claimed

    async def run_channel(self, channel: Channel) -> int:
        """Like `run_once` for one channel; at least `BATCH` while there is more to do at once.

        While a full batch waits for connections, the next one is claimed and rendered: the
        processor need not stand still while a disk or a mail server works, nor the other way
        round. Of a provider nothing is known yet, or that has just rested, only as many are
        claimed as it has connections, and one batch after the other: they may all come back.
        """
        way = self._ways[channel]
        limit = BATCH if way.proven else min(way.connections, BATCH)
        batch = await self._prepared(limit, (channel,))
        if (before := self._handing.pop(channel, None)) is not None:
            await before
        full = batch.claimed >= limit
        handing = asyncio.create_task(self._hand_over(batch), name=f"handing over {channel.value}")
        if full and way.proven:
            self._handing[channel] = handing
        else:
            await handing
        return BATCH if full and not way.rests else 0

    def stop(self) -> None:
        """Hand nothing more over; what was claimed is given back."""
        self._stopping = True

    async def drain(self) -> None:
        """Wait for what is being sent, and record it."""
        if self._handing:
            await asyncio.wait(self._handing.values())
        if self._sending:
            await asyncio.wait(self._sending)

    async def cut_short(self) -> None:
        """Break off what is still being sent; providers tell how far each had come."""
        for task in self._sending:
            task.cancel()
        under_way = [*self._sending, *self._handing.values()]
        if under_way:
            await asyncio.wait(under_way, timeout=LAST_WORDS)

    async def _prepared(self, limit: int, channels: Collection[Channel]) -> _Batch:
        """Due messages, claimed and rendered; none where none may be claimed."""
        token = self._ids.new()
        open_now = [channel for channel in channels if not self._ways[channel].rests]
        if self._results.stuck or self._stopping or not open_now:
            return _Batch(token, 0, {})
        narrowed = None if len(open_now) == len(self._ways) else open_now
        requests = await self._database.run(
            Lane.RESULTS, lambda uow: self._claim(uow, token, limit, narrowed)
        )
        drafts = await self._render_all(requests)
        await self._put_aside([draft for draft in drafts if draft.stumbled])
        by_channel: dict[Channel, list[Draft]] = defaultdict(list)
        for draft in (draft for draft in drafts if not draft.stumbled):
            by_channel[draft.message.channel].append(draft)
        return _Batch(token, len(requests), by_channel)

    async def _hand_over(self, batch: _Batch) -> None:
        for channel, ready in batch.drafts.items():
            await self._send_all(self._ways[channel], ready, batch.token)

    def _claim(
        self, uow: UnitOfWork, token: str, limit: int, channels: Collection[Channel] | None
    ) -> list[RenderRequest]:
        """Lease due messages and read what they are rendered from."""
        now = self._clock.now()
        messages = uow.messages.claim_due(now, limit, LEASE, token, channels)
        if not messages:
            return []
        people = uow.contacts.load({message.contact_id for message in messages})
        runs = uow.enrolments.load({message.enrolment_id for message in messages})
        backdrop = read_backdrop(uow, runs.values(), people, known=messages)
        book = self._library.book(self._library.live())
        requests: list[RenderRequest] = []
        for message in messages:
            run, person = runs[message.enrolment_id], people[message.contact_id]
            event = backdrop.events.get(run.event_id) if run.event_id else None
            outputs = output_names(run.outputs, backdrop.messages.get(run.id, ()))
            facts = {**outputs, **backdrop.names(book, person, event, now)}
            requests.append(RenderRequest(message, person, facts, now))
        return requests

    async def _render_all(self, requests: Sequence[RenderRequest]) -> list[Draft]:
        """Render in slices, so that webhooks keep being answered in the same process."""
        clock = asyncio.get_running_loop().time
        drafts: list[Draft] = []
        slice_began = clock()
        for request in requests:
            began = clock()
            drafts.append(self._render(request))
            ended = clock()
            channel = request.message.channel.value
            self._metrics.observe("render_seconds", ended - began, channel=channel)
            if ended - slice_began > SLICE:
                await asyncio.sleep(0)
                slice_began = clock()
        return drafts

    def _render(self, request: RenderRequest) -> Draft:
        """A draft, rendered or with the reason why not; the gate decides in either case."""
        message = request.message
        if request.contact.address(message.channel) is None:
            return Draft(message)
        try:
            rendered = self._library.renderer(self._library.live()).render(request)
        except LintFailed as error:
            return Draft(message, problem=str(error), reason=NotSentReason.LINT)
        except RecipientRejected as error:
            return Draft(message, problem=str(error), reason=NotSentReason.UNREACHABLE)
        except PermanentError as error:
            return Draft(message, problem=str(error))
        except Exception:
            log.exception("rendering raised", extra={"message_id": message.id})
            return Draft(message, stumbled=True)
        return Draft(message, rendered)

    async def _send_all(self, way: Way, drafts: list[Draft], token: str) -> None:
        """Gate as many messages as connections are free, hand them over, and so on.

        What is left when the provider closes, or this process stops, is given back.
        """
        while drafts:
            slots = await way.take(len(drafts))
            if self._stopping or way.rests:
                way.free(slots)
                break
            chunk, drafts = drafts[:slots], drafts[slots:]
            try:
                allowed = await self._judge(chunk, token)
            except BaseException:
                way.free(slots)
                raise
            way.free(slots - len(allowed))
            for draft in allowed:
                task = asyncio.create_task(self._send(way, draft))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            if allowed:
                await way.known()
        await self._give_back(drafts)

    async def _give_back(self, drafts: Sequence[Draft]) -> None:
        """Let go of claimed messages, so that they can be claimed again at once."""
        changes = [
            MessageChange(one.id, one.state, WAITING_STATES, reason=one.reason)
            for one in (draft.message for draft in drafts)
        ]
        if changes:
            await self._database.run(
                Lane.RESULTS, lambda uow: uow.messages.apply(changes, self._clock.now())
            )

    async def _judge(self, chunk: Sequence[Draft], token: str) -> list[Draft]:
        """Ask the gate; if that raises, about each message alone, so that one harms no other."""

        def work(uow: UnitOfWork) -> list[Draft]:
            return self._gatekeeper.judge(uow, chunk, token)

        try:
            return await self._database.run(Lane.RESULTS, work)
        except TransientError:
            raise
        except Exception:
            if len(chunk) > 1:
                return [d for one in chunk for d in await self._judge([one], token)]
            log.exception("the gate raised", extra={"message_id": chunk[0].message.id})
            await self._put_aside(chunk)
            return []

    async def _put_aside(self, drafts: Sequence[Draft]) -> None:
        messages = [draft.message for draft in drafts]
        if messages:
            await self._database.run(
                Lane.RESULTS, lambda uow: put_aside(uow, messages, self._clock.now())
            )

    async def _send(self, way: Way, draft: Draft) -> None:
        """Hand one message over and record its result; only then is its connection free."""
        try:
            if draft.rendered is not None:  # the gate lets only rendered drafts pass
                result = await self._result(way, draft.message, draft.rendered)
                way.learn(result.delivery)
                await self._results.store(result)
        finally:
            way.free(1)

    async def _result(self, way: Way, message: Message, body: RenderedMessage) -> Result:
        provider = way.provider
        started_at = self._clock.now()
        delivery = await _handed_over(provider, message.id, body)
        outcome = delivery.outcome.value
        if delivery.outcome is DeliveryOutcome.RETRY:
            told = {"provider": provider.name, "code": delivery.code, "detail": delivery.detail}
            log.warning("a message was not taken and will be tried again", extra=told)
        self._metrics.count("deliveries", channel=message.channel.value, outcome=outcome)
        return Result(
            message=message,
            locale=body.locale,
            provider=provider.name,
            delivery=delivery,
            started_at=started_at,
            finished_at=self._clock.now(),
        )


async def _handed_over(
    provider: Provider, message_id: MessageId, body: RenderedMessage
) -> Delivery:
    """A provider's answer. One that raises may have sent: that is doubt, never a second try."""
    try:
        return await provider.send(message_id, body)
    except Exception:
        log.exception("a provider raised", extra={"message_id": message_id})
        return Delivery(DeliveryOutcome.UNKNOWN, code="internal_error")
