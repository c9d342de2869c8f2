"""The preference form: what it shows, what is read from it, and what is said of the result.

Each box is named `on` with the value `channel:topic`, and has a hidden twin `shown`: a box that
was not ticked is not sent by browsers, and one that was never shown must not count as unticked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, assert_never
from urllib.parse import parse_qs

from starlette.requests import Request

from orchestrator.domain.consent import ALL_TOPICS, ConsentState, ConsentStatus, Standing
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.rendering.pages import Language
from orchestrator.services.preferences import Choice, Choices, Decision
from orchestrator.web.bodies import Incomplete, TooLarge, read_body

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


def by(channel: Channel | None, _: Language) -> str:
    """The channel as a part of a sentence."""
    match channel:
        case Channel.EMAIL | None:
            return _("by email")
        case Channel.SMS:
            return _("by text message")
        case Channel.WHATSAPP:
            return _("by WhatsApp")
    assert_never(channel)


def at_head(channel: Channel | None, _: Language) -> str:
    """The same where a sentence begins."""
    match channel:
        case Channel.EMAIL | None:
            return _("By email")
        case Channel.SMS:
            return _("By text message")
        case Channel.WHATSAPP:
            return _("By WhatsApp")
    assert_never(channel)


def question(_: Language) -> str:
    """What the form asks."""
    return _("What may we send you?")


def boxes(choices: Choices, book: FlowBook | None, _: Language) -> list[Group]:
    """The form as things stand.

    What was asked for and is not confirmed is shown unticked: ticking it is a clear act, a
    box that was ticked beforehand would be none (GDPR recital 32).
    """
    return [
        Group(
            channel=at_head(channel, _),
            address=address,
            boxes=[
                _box(choice, standing, book, _)
                for choice, standing in choices.standings.items()
                if book and choice[0] is channel and choice[1] in book.topics
            ],
        )
        for channel, address in choices.addresses.items()
    ]


def _box(choice: Choice, standing: Standing, book: FlowBook, _: Language) -> Box:
    channel, name = choice
    topic = book.topics[name]
    return Box(
        value=f"{channel.value}:{name}",
        title=topic.title.in_locale(_.locale),
        description=topic.description.in_locale(_.locale) if topic.description else None,
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


def wording_of(form: Form, book: FlowBook | None, _: Language) -> str:
    """The question as the person saw it, for the proof: only topics there are."""
    if "stop" in form:
        return _("Stop everything")
    shown: defaultdict[Channel, list[str]] = defaultdict(list)
    for channel, topic in wishes(form):
        shown[channel].append(topic)
    asked = [
        f"{at_head(channel, _)}: {'; '.join(named)}."
        for channel, topics in shown.items()
        if (named := titles(topics, book, _))
    ]
    return " ".join([question(_), *asked])


def titles(topics: Iterable[str], book: FlowBook | None, _: Language) -> list[str]:
    """Topics by the titles customers know; one that is gone is not named."""
    known = book.topics if book else {}
    return [
        _("All topics") if name == ALL_TOPICS else known[name].title.in_locale(_.locale)
        for name in topics
        if name == ALL_TOPICS or name in known
    ]


def chosen(
    decision: Decision, book: FlowBook | None, _: Language, *, stop: bool
) -> tuple[str, list[str]]:
    """What came of the form, in words: a heading, and a sentence per channel and direction."""
    if stop:
        ways = _.listed([by(one, _) for one in decision.choices.addresses], either=True)
        said = (
            _("You will get no more marketing from us %(by)s. This works at once.", by=ways)
            if ways
            else _("You will get no more marketing from us. This works at once.")
        )
        return _("Everything is stopped"), [said]
    if not decision.changed:
        return _("Everything stays as it is"), [_("Your choices were like this already.")]
    given = [
        _("From now on you get %(topics)s %(by)s.", topics=topics, by=way)
        for topics, way in _changed(decision.changed, ConsentStatus.GRANTED, book, _)
    ]
    taken = [
        _("You will get no more %(topics)s %(by)s.", topics=topics, by=way)
        for topics, way in _changed(decision.changed, ConsentStatus.WITHDRAWN, book, _)
    ]
    return _("Your choices are saved"), [*given, *taken]


def _changed(
    changed: Iterable[ConsentState], status: ConsentStatus, book: FlowBook | None, _: Language
) -> Iterator[tuple[str, str]]:
    """The topics that came to a status, and their channel, as parts of a sentence."""
    by_channel: defaultdict[Channel, list[str]] = defaultdict(list)
    for state in changed:
        if state.status is status:
            by_channel[state.channel].append(state.topic)
    for channel, topics in by_channel.items():
        if named := [_("“%(topic)s”", topic=title) for title in titles(topics, book, _)]:
            yield _.listed(named), by(channel, _)
