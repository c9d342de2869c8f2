"""One person as a calm page of 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Final

from orchestrator.domain.consent import ALL_TOPICS, ConsentState, ConsentStatus
from orchestrator.domain.flows import Channel
from orchestrator.services.contact_view import ContactView

WIDTH: Final = 80
_CHANNELS: Final = {Channel.EMAIL: "email", Channel.SMS: "SMS", Channel.WHATSAPP: "WhatsApp"}
_MOST_MESSAGES: Final = 20
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows."""


def contact_page(view: ContactView) -> Iterator[tuple[str, bool]]:
    """Lines of the page; the second of each pair tells a heading."""
    for line, heading in _lines(view):
        # People write their own names: none may colour, retitle or turn round a terminal.
        yield _UNSEEN.sub("", line), heading


def _lines(view: ContactView) -> Iterator[tuple[str, bool]]:
    yield _name(view), True
    for line in _facts(view):
        yield line, False
    yield from _section("Consent", list(_consents(view)), "Nobody has asked this person yet.")
    yield from _section("Journeys", list(_runs(view)), "None so far.")
    yield from _section("Messages", list(_messages(view)), "None so far.")


def _section(title: str, lines: list[str], empty: str) -> Iterator[tuple[str, bool]]:
    yield "", False
    yield title, True
    for line in lines or [empty]:
        for part in textwrap.wrap(line, WIDTH - 2, subsequent_indent="  "):
            yield f"  {part}", False


def _name(view: ContactView) -> str:
    person = view.contact
    words = [word for word in (person.first_name, person.last_name) if word]
    return " ".join(words) or person.label


def _facts(view: ContactView) -> Iterator[str]:
    person = view.contact
    known = {
        "email": person.email,
        "phone": person.phone,
        "id": person.id,
        "shop's id": person.external_id,
        "country": person.country,
        "language": person.locale,
        "time zone": person.timezone,
        "tags": ", ".join(person.tags),
        "since": day(person.created_at),
        "last seen": day(person.last_seen_at) if person.last_seen_at else None,
        "orders": _orders(view) if person.orders.count else None,
        "erased": day(person.erased_at) if person.erased_at else None,
    }
    known |= {name: str(value) for name, value in sorted(person.attributes.items())}
    for name, value in known.items():
        if value:
            yield from textwrap.wrap(
                f"{name:<10}  {value}", WIDTH - 2, initial_indent="  ", subsequent_indent=" " * 14
            )


def _orders(view: ContactView) -> str:
    orders = view.contact.orders
    last = f", the last on {day(orders.last_at)}" if orders.last_at else ""
    return f"{orders.count}, {orders.total:f} in all{last}"


def _consents(view: ContactView) -> Iterator[str]:
    """A plain sentence for each channel and what was said at one time in one place."""
    told = [(state.channel, _told(view, state), state.topic) for state in view.states]
    told.sort(key=lambda one: (list(Channel).index(one[0]), one[1], one[2]))
    for (channel, words), alike in groupby(told, key=lambda one: one[:2]):
        topics = [topic for _, _, topic in alike]
        about = "everything else" if topics == [ALL_TOPICS] else _listed(topics)
        if topics == [ALL_TOPICS] and not _named_topics(view, channel):
            about = "everything"
        sentence = f"{about} by {_CHANNELS[channel]}: {words}."
        yield sentence[0].upper() + sentence[1:]


def _named_topics(view: ContactView, channel: Channel) -> bool:
    return any(s.channel is channel and s.topic != ALL_TOPICS for s in view.states)


def _told(view: ContactView, state: ConsentState) -> str:
    proof = view.proof(state)
    source = proof.details.get("collection_point") if proof else None
    method = proof.method.replace("_", " ") if proof else None
    how = ", ".join(word for word in (method, str(source) if source else None) if word)
    on = day(state.changed_at)
    words = {
        ConsentStatus.GRANTED: f"yes, since {on}",
        ConsentStatus.REQUESTED: f"asked for on {on}, not confirmed yet",
        ConsentStatus.WITHDRAWN: f"no, withdrawn on {on}",
        ConsentStatus.OBJECTED: f"no, objected to marketing on {on}",
        ConsentStatus.EXPIRED: f"no longer, it lapsed on {on}",
    }[state.status]
    until = f", until {day(state.expires_at)}" if state.expires_at else ""
    return f"{words}{until} ({how})" if how else f"{words}{until}"


def _listed(topics: list[str]) -> str:
    names = ["everything else" if topic == ALL_TOPICS else topic for topic in topics]
    names.sort(key=lambda name: name == "everything else")
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _runs(view: ContactView) -> Iterator[str]:
    for run in view.enrolments:
        if run.ended_at:
            yield f"{run.flow}: {day(run.entered_at)} to {day(run.ended_at)} ({run.end_reason})"
            continue
        where = f"at step {run.step}" if run.step else "not begun"
        until = f", next on {moment(run.due_at)}" if run.due_at else ""
        yield f"{run.flow}: since {day(run.entered_at)}, {where}{until}"


def _messages(view: ContactView) -> Iterator[str]:
    left_out = len(view.messages) - _MOST_MESSAGES
    if left_out > 0:
        yield f"{left_out} older ones: `orchestrator messages --contact` lists them all."
    for message in view.messages[-_MOST_MESSAGES:]:
        reason = f" ({message.reason})" if message.reason else ""
        yield (
            f"{moment(message.created_at)}  {message.channel.value:<8}  "
            f"{message.flow}/{message.step}  {message.state.value.replace('_', ' ')}{reason}"
        )


def day(at: datetime) -> str:
    """`3 March 2026`, in the reader's own time zone."""
    local = at.astimezone()
    return f"{local.day} {local:%B %Y}"


def moment(at: datetime) -> str:
    """`2026-03-03 14:05`, in the reader's own time zone."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
