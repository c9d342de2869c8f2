"""The preference form: what it shows, what is read from it, and what is said of the result.

Each box is named `on` with the value `channel:topic`, and has a hidden twin `shown`: a box that
was not ticked is not sent by browsers, and one that was never shown must not count as unticked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

from orchestrator.domain.consent import ALL_TOPICS, ConsentState, ConsentStatus, Standing
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.services.preferences import Choice, Choices, Decision
from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.pages import LOCALE

BY: Final = {
    Channel.EMAIL: "email",
    Channel.SMS: "text message",
    Channel.WHATSAPP: "WhatsApp",
    None: "email",
}
QUESTION: Final = "What may we send you?"
STOP: Final = "Stop everything"

_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 2000

Form = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Box:
    """One topic on one channel."""

    value: str
    title: str
    description: str | None
    ticked: bool
    unconfirmed: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The topics of one channel."""

    channel: str
    address: str
    boxes: list[Box]


def boxes(choices: Choices, book: FlowBook | None) -> list[Group]:
    """The form as things stand.

    What was asked for and is not confirmed is shown unticked: ticking it is a clear act, a
    box that was ticked beforehand would be none (GDPR recital 32).
    """
    return [
        Group(
            channel=BY[channel],
            address=address,
            boxes=[
                _box(choice, standing, book)
                for choice, standing in choices.standings.items()
                if book and choice[0] is channel and choice[1] in book.topics
            ],
        )
        for channel, address in choices.addresses.items()
    ]


def _box(choice: Choice, standing: Standing, book: FlowBook) -> Box:
    channel, name = choice
    topic = book.topics[name]
    return Box(
        value=f"{channel.value}:{name}",
        title=topic.title.in_locale(LOCALE),
        description=topic.description.in_locale(LOCALE) if topic.description else None,
        ticked=standing is Standing.ALLOWED,
        unconfirmed=standing is Standing.UNCONFIRMED,
    )


async def form_of(request: Request) -> Form | None:
    """The fields of an urlencoded form, or None if it is none, is too long or broken."""
    try:
        body = await read_body(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _FORM_TYPE:
            return None
        text = body.decode()
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (TooLarge, Incomplete, ValueError):
        return None


def wishes(form: Form) -> dict[Choice, bool]:
    """What the person left each box at; what is no channel and topic is passed over."""
    unticked = dict.fromkeys(_choices(form.get("shown", ())), False)
    return unticked | dict.fromkeys(_choices(form.get("on", ())), True)


def _choices(values: Iterable[str]) -> Iterable[Choice]:
    channels = {channel.value: channel for channel in Channel}
    for value in values:
        channel, _, topic = value.partition(":")
        if channel in channels:
            yield channels[channel], topic


def wording_of(form: Form, book: FlowBook | None) -> str:
    """The question as the person saw it, for the proof: only topics there are."""
    if "stop" in form:
        return STOP
    shown: defaultdict[Channel, list[str]] = defaultdict(list)
    for channel, topic in wishes(form):
        shown[channel].append(topic)
    asked = [
        f"By {BY[channel]}: {'; '.join(named)}."
        for channel, topics in shown.items()
        if (named := titles(topics, book))
    ]
    return " ".join([QUESTION, *asked])


def titles(topics: Iterable[str], book: FlowBook | None) -> list[str]:
    """Topics by the titles customers know; one that is gone is not named."""
    known = book.topics if book else {}
    return [
        "All topics" if name == ALL_TOPICS else known[name].title.in_locale(LOCALE)
        for name in topics
        if name == ALL_TOPICS or name in known
    ]


def chosen(decision: Decision, book: FlowBook | None, *, stop: bool) -> tuple[str, list[str]]:
    """What came of the form, in words: a heading, and a sentence per channel and direction."""
    if stop:
        lost = [BY[channel] for channel in decision.choices.addresses]
        said = f"You will get no more marketing from us{_by_none(lost)}. This works at once."
        return "Everything is stopped", [said]
    if not decision.changed:
        return "Everything stays as it is", ["Your choices were like this already."]
    given = _sentences(decision.changed, ConsentStatus.GRANTED, "From now on you get", book)
    taken = _sentences(decision.changed, ConsentStatus.WITHDRAWN, "You will get no more", book)
    return "Your choices are saved", [*given, *taken]


def _sentences(
    changed: Iterable[ConsentState], status: ConsentStatus, words: str, book: FlowBook | None
) -> list[str]:
    by_channel: defaultdict[Channel, list[str]] = defaultdict(list)
    for state in changed:
        if state.status is status:
            by_channel[state.channel].append(state.topic)
    return [
        f"{words} {_listed([f'“{title}”' for title in named])} by {BY[channel]}."
        for channel, topics in by_channel.items()
        if (named := titles(topics, book))
    ]


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _by_none(channels: list[str]) -> str:
    return f": not by {' and not by '.join(channels)}" if channels else ""
