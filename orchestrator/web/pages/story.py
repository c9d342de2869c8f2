"""A person's story in words: where consent stands, and what happened, day by day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

from orchestrator.domain.consent import (
    ALL_TOPICS,
    ConsentAction,
    ConsentState,
    ConsentStatus,
    LedgerRecord,
)
from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.events import Event
from orchestrator.domain.flows import Channel
from orchestrator.domain.messages import Message
from orchestrator.services.contact_view import ContactView
from orchestrator.services.listings import Story
from orchestrator.web.pages import LOCALE
from orchestrator.web.pages.frame import Visit
from orchestrator.web.pages.outbox import Outbox
from orchestrator.web.pages.words import (
    CHANNELS,
    CONSENTS,
    STATES,
    TONES,
    When,
    end_words,
    event_words,
    message_reason,
    shortened,
)

_STANDINGS: Final = {
    ConsentStatus.GRANTED: ("Yes", "good"),
    ConsentStatus.REQUESTED: ("Not confirmed yet", "wait"),
    ConsentStatus.WITHDRAWN: ("No, withdrawn", "bad"),
    ConsentStatus.OBJECTED: ("No, objected to marketing", "bad"),
    ConsentStatus.EXPIRED: ("No longer, it lapsed", "none"),
}
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows."""
_MOST_ITEMS: Final = 3
_LONGEST: Final = 200
"""Characters of a customer's own words in the timeline."""


@dataclass(frozen=True, slots=True)
class Told:
    """Where a person stands on a channel and topics: `how` says where that comes from."""

    channel: str
    topics: str
    word: str
    tone: str
    since: When | None
    until: When | None
    how: str


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the timeline; `kind` is what it looks like."""

    at: datetime
    when: When | None
    kind: str
    words: str
    details: str = ""
    state: str = ""
    tone: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day, the newest first."""

    day: str
    happenings: tuple[Happening, ...]


def name_of(person: Contact) -> str:
    """How a page names a person: by name, else by address, else by id."""
    words = " ".join(word for word in (person.first_name, person.last_name) if word)
    # People write their own names: none may turn round or fill a page.
    name = shortened(_UNSEEN.sub("", words))
    return name or ("Erased" if person.erased_at else person.label)


def facts_of(person: Contact, visit: Visit) -> list[tuple[str, str]]:
    """What is known of a person, by name; what is not is left out."""
    orders = person.orders
    since, seen = visit.when(person.created_at), visit.when(person.last_seen_at)
    known: dict[str, str | None] = {
        "Email": person.email,
        "Phone": person.phone,
        "Shop's id": person.external_id,
        "Country": person.country,
        "Language": person.locale,
        "Time zone": person.timezone,
        "Tags": ", ".join(person.tags),
        "Orders": f"{orders.count}, {orders.total:f} in all" if orders.count else None,
        "Known since": since.day if since else None,
        "Last seen": seen.words if seen else None,
    }
    known |= {name: str(value) for name, value in sorted(person.attributes.items())}
    return [(name, value) for name, value in known.items() if value]


def consents_of(view: ContactView, visit: Visit) -> list[Told]:
    """Where a person stands, alike topics together, in the order of the channels."""
    rows = [(state, _how(view.proof(state))) for state in view.states]
    rows.sort(key=lambda row: (list(Channel).index(row[0].channel), _alike(row[0]), row[1]))
    found = []
    for _, group in groupby(rows, key=lambda row: (row[0].channel, _alike(row[0]), row[1])):
        alike = list(group)
        found.append(_told(view, [row[0] for row in alike], alike[0][1], visit))
    return found


def _alike(state: ConsentState) -> tuple[str, datetime]:
    return state.status.value, state.changed_at


def _told(view: ContactView, alike: list[ConsentState], how: str, visit: Visit) -> Told:
    state = alike[0]
    word, tone = _STANDINGS[state.status]
    return Told(
        channel=CHANNELS[state.channel],
        topics=_topics(view, alike, visit),
        word=word,
        tone=tone,
        since=visit.when(state.changed_at),
        until=visit.when(state.expires_at),
        how=how,
    )


def _topics(view: ContactView, alike: list[ConsentState], visit: Visit) -> str:
    channel = alike[0].channel
    named = {state.topic for state in view.states if state.channel is channel} - {ALL_TOPICS}
    rest = "everything else" if named else "everything"
    titles = [_topic(state.topic, visit) for state in alike if state.topic != ALL_TOPICS]
    if any(state.topic == ALL_TOPICS for state in alike):
        titles.append(rest)
    return _listed(titles)


def _topic(name: str, visit: Visit) -> str:
    topic = visit.book.topics.get(name) if visit.book else None
    return topic.title.in_locale(LOCALE) if topic else name


def _how(proof: LedgerRecord | None) -> str:
    """The method of a record and where it was collected."""
    if proof is None:
        return ""
    source = proof.details.get("collection_point")
    words = (proof.method.replace("_", " "), str(source) if source else "")
    return ", ".join(word for word in words if word)


def timeline(story: Story, visit: Visit, outbox: Outbox) -> list[Day]:
    """Events, runs, messages and consent, by day, the newest first."""
    view = story.view
    found = [
        # Of what happened at once, what followed stands above what it followed from.
        *(_left(run, visit) for run in view.enrolments if run.ended_at),
        *(_message(message, visit, outbox) for message in view.messages),
        *(_entered(run, visit) for run in view.enrolments),
        *_records(view.records, visit),
        *(_event(event, visit) for event in story.events),
    ]
    oldest = story.events[-1].occurred_at if story.more_events else None
    kept = [one for one in found if oldest is None or one.at >= oldest]
    kept.sort(key=lambda one: one.at, reverse=True)
    days = groupby(kept, key=lambda one: one.when.day if one.when else "")
    return [Day(day, tuple(happenings)) for day, happenings in days]


def _event(event: Event, visit: Visit) -> Happening:
    return Happening(
        at=event.occurred_at,
        when=visit.when(event.occurred_at),
        kind="event",
        words=event_words(event.type),
        details=_payload(event.payload),
    )


def _payload(payload: Mapping[str, Any]) -> str:
    """The few fields of an event that tell it from others."""
    parts = []
    items = payload.get("items")
    if isinstance(items, list) and items:
        names = [str(item["name"]) for item in items if isinstance(item, dict) and item.get("name")]
        more = f" and {len(items) - _MOST_ITEMS} more" if len(items) > _MOST_ITEMS else ""
        parts.append(", ".join(names[:_MOST_ITEMS]) + more)
    if payload.get("total"):
        parts.append(f"{payload['total']} {payload.get('currency') or ''}".strip())
    told = ("rating", "score", "text")
    parts += [f"{name} {payload[name]}"[:_LONGEST] for name in told if payload.get(name)]
    return " · ".join(part for part in parts if part)


def _entered(run: Enrolment, visit: Visit) -> Happening:
    waits = ""
    if run.ended_at is None:
        due = visit.when(run.due_at)
        waits = f"Stands at step {run.step}" if run.step else "Has not begun"
        waits += f", goes on {due.words}" if due and run.due_at and run.due_at > visit.now else ""
    return Happening(
        at=run.entered_at,
        when=visit.when(run.entered_at),
        kind="run",
        words=f"Entered {visit.title_of(run.flow)}",
        details=waits,
        href=_drawn(run.flow, visit),
    )


def _left(run: Enrolment, visit: Visit) -> Happening:
    at = run.ended_at or run.entered_at
    return Happening(
        at=at,
        when=visit.when(at),
        kind="run",
        words=f"{visit.title_of(run.flow)}: {end_words(run.end_reason)}",
        href=_drawn(run.flow, visit),
    )


def _drawn(flow: str, visit: Visit) -> str:
    """Where a journey is drawn; empty if the live version has it no more."""
    return f"/journeys/{quote(flow)}" if visit.book and flow in visit.book.flows else ""


def _message(message: Message, visit: Visit, outbox: Outbox) -> Happening:
    at = message.sent_at or message.created_at
    return Happening(
        at=at,
        when=visit.when(at),
        kind="message",
        words=f"{visit.title_of(message.flow)}: {message.template} by {CHANNELS[message.channel]}",
        details=_because(message),
        state=STATES[message.state],
        tone=TONES[message.state],
        href=outbox.address(message.id),
    )


def _because(message: Message) -> str:
    """The reason of a message's state, or the record of consent that allowed it."""
    reason = message_reason(message)
    consent = message.decision.get("consent")
    if reason or not isinstance(consent, Mapping):
        return reason[:1].upper() + reason[1:]
    return f"Allowed by consent record {consent.get('record')}"


def _records(records: Iterable[LedgerRecord], visit: Visit) -> Iterator[Happening]:
    """What was said of several topics at once is told at once."""
    ordered = sorted(records, key=_said)
    for (at, channel, action, how), group in groupby(ordered, key=_said):
        alike = list(group)
        topics = [
            "everything" if one.topic == ALL_TOPICS else _topic(one.topic, visit) for one in alike
        ]
        numbers = ", ".join(str(one.seq) for one in alike)
        yield Happening(
            at=at,
            when=visit.when(at),
            kind="consent",
            words=f"Consent to {_listed(topics)} by {CHANNELS[Channel(channel)]}: "
            + CONSENTS[ConsentAction(action)],
            details=f"Record {numbers}, {how}" if how else f"Record {numbers}",
        )


def _said(record: LedgerRecord) -> tuple[datetime, str, str, str]:
    return record.occurred_at, record.channel.value, record.action.value, _how(record)


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
