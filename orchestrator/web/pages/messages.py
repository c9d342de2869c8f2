"""Messages: what became of each, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from orchestrator.domain.contacts import Contact
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import MessageFilter
from orchestrator.services.listings import message_page
from orchestrator.web.pages.frame import Frame, Visit
from orchestrator.web.pages.outbox import Outbox
from orchestrator.web.pages.story import name_of
from orchestrator.web.pages.words import CHANNELS, STATES, TONES, When, message_reason
from orchestrator.web.parts import WebParts

TIMES: Final = {
    "day": ("The last 24 hours", timedelta(days=1)),
    "week": ("The last 7 days", timedelta(days=7)),
    "month": ("The last 30 days", timedelta(days=30)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A message in the list; `content` is the address of its content, if it is in the outbox."""

    message: Message
    at: When | None
    person: str
    journey: str
    channel: str
    state: str
    tone: str
    reason: str
    until: When | None
    content: str


class MessagePages:
    """`/messages`."""

    def __init__(self, parts: WebParts, frame: Frame, outbox: Outbox) -> None:
        self._parts = parts
        self._frame = frame
        self._outbox = outbox

    async def messages(self, visit: Visit) -> Response:
        """The newest messages, chosen by journey, state and time."""
        wanted = _filter(visit)
        found = await self._parts.database.query(lambda uow: message_page(uow, wanted))
        rows = [self._row(visit, message, found.people) for message in found.messages]
        return await self._frame.page(
            visit,
            "messages.html",
            here="messages",
            rows=rows,
            flows=_flows(visit),
            states=[(state.value, word) for state, word in STATES.items()],
            times=[(name, words) for name, (words, _) in TIMES.items()],
            older=_older(visit, found.messages[-1].id) if found.more else "",
            chosen=any(visit.asked(name) for name in ("flow", "state", "time", "before")),
        )

    def _row(self, visit: Visit, message: Message, people: Mapping[ContactId, Contact]) -> Row:
        person = people.get(message.contact_id)
        held = message.state is MessageState.HELD
        return Row(
            message=message,
            at=visit.when(message.sent_at or message.created_at),
            person=name_of(person) if person else "Somebody",
            journey=visit.title_of(message.flow),
            channel=CHANNELS[message.channel],
            state=STATES[message.state],
            tone=TONES[message.state],
            reason=message_reason(message),
            until=visit.when(message.not_before) if held else None,
            content=self._outbox.address(message.id),
        )


def _filter(visit: Visit) -> MessageFilter:
    """What the address asks for; what it asks for that there is not is passed over."""
    state, time = visit.asked("state"), TIMES.get(visit.asked("time"))
    try:
        before = MessageId(str(UUID(visit.asked("before"))))
    except ValueError:
        before = None
    return MessageFilter(
        flow=visit.asked("flow") or None,
        states=frozenset({MessageState(state)} if state in set(MessageState) else ()),
        since=visit.now - time[1] if time else None,
        before=before,
    )


def _flows(visit: Visit) -> list[tuple[str, str]]:
    """The journeys to choose from; one that was asked for is among them though it be gone."""
    known = {name: flow.title for name, flow in visit.book.flows.items()} if visit.book else {}
    asked = visit.asked("flow")
    return list({**({asked: asked} if asked else {}), **known}.items())


def _older(visit: Visit, last: MessageId) -> str:
    asked = [(name, visit.asked(name)) for name in ("flow", "state", "time")]
    return "/messages?" + urlencode([pair for pair in (*asked, ("before", last)) if pair[1]])
