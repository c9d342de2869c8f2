"""Every message a version can send, made for every made-up person, and held to every rule.

What comes of a template is remembered by the content it depends on, so that publishing an edit
looks at what the edit touches and at nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Final

from orchestrator.domain.errors import PermanentError, RenderFailed
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Channel, FlowBook, PolicyChangeTrigger, SendStep
from orchestrator.rendering.email import UNEXTENDED
from orchestrator.rendering.inspection import MISCALLED
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenSigner
from orchestrator.rendering.lint.fixtures import (
    HOSTILE,
    KINDS,
    NOW,
    OPEN_KEY,
    TAME,
    Sent,
    request,
    titles,
)
from orchestrator.rendering.lint.page import Element
from orchestrator.rendering.lint.places import Place, Places, unmarked
from orchestrator.rendering.lint.sending import texts_of
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Remark, Rule, Text, TextRule
from orchestrator.rendering.lint.table import RULES, TEXT_RULES, VERSION
from orchestrator.rendering.message import Draft, MessageRenderer, contact_facts
from orchestrator.rendering.sms import SmsRenderer
from orchestrator.rendering.sms_check import SentText, check_text
from orchestrator.rendering.templates import SUFFIXES, built_in, localised, of_channel

OWN: Final = "https://links.example/"
"""Where the links of a mail that is looked at lead."""
_SECRET: Final = "links of a check lead to nobody"  # noqa: S105  # it guards nothing
_NAMED: Final = re.compile(
    r"\{%-?\s*(?:extends|include|import|from)\s+(?:\"([^\"]+)\"|'([^']+)'|\S)"
)
_SEE: Final = "see docs/templates.md for the names and components there are"
_FALL_BACK: Final = "say what to do where a value is missing: {{ url or brand.url }}, {% if ... %}"
_MOST: Final = 4096
"""Results that are remembered."""
_remembered: dict[str, tuple[Finding, ...]] = {}


class Matrix:
    """The rules over the messages of one version. `folder` is put before the path of a file."""

    def __init__(self, book: FlowBook, sources: Mapping[str, str], folder: str) -> None:
        self._book = book
        self._sources = sources
        self._folder = folder
        self._sound: set[tuple[str, tuple[str, ...]]] = set()
        self._shared = _digest(
            [VERSION, repr(book.brand), repr(book.topics), repr(book.attributes)]
        )

    @cached_property
    def _places(self) -> Places:
        return Places(self._sources, built_in())

    @cached_property
    def _renderer(self) -> MessageRenderer:
        links = Links(OWN, SignedLinkTokens(TokenSigner([_SECRET]), _StillClock()))
        return MessageRenderer(self._book, self._places.marked, links)

    @cached_property
    def _sms(self) -> SmsRenderer:
        return SmsRenderer(
            self._sources, self._book.brand, self._book.topics, self._book.attributes
        )

    def findings(self, sent: Sent) -> tuple[Finding, ...]:
        """What is wrong with a template as a step sends it; nothing where it lacks the language."""
        key = self._key(sent)
        if key not in _remembered:
            if len(_remembered) >= _MOST:
                _remembered.clear()
            _remembered[key] = tuple(_once(self._found(sent)))
        return _remembered[key]

    def _found(self, sent: Sent) -> Iterator[Finding]:
        if failures := self._problems(sent):
            yield from (self._unknown(sent, failure) for failure in failures)
        elif sent.channel is Channel.EMAIL:
            yield from self._mails(sent)
        else:
            yield from self._texts(sent)

    def _problems(self, sent: Sent) -> list[RenderFailed]:
        """What keeps a template from being loaded; its names are the same in every language."""
        outputs = tuple(sent.flow.program)
        file = (self._path(sent), outputs)
        if file in self._sound:
            return []
        failures = self._renderer.problems(sent.channel, sent.step.template, outputs, sent.locale)
        if not failures:
            self._sound.add(file)
        return failures

    def _unknown(self, sent: Sent, failure: RenderFailed) -> Finding:
        """Syntax, or a name that nobody knows."""
        return Finding(
            Severity.ERROR,
            "template",
            f"{self._folder}/{sent.channel.value}/{failure.template}",
            failure.line or 0,
            1 if failure.line else 0,
            failure.message,
            _SEE,
        )

    def mail(self, sent: Sent, kind: str) -> Mail | None:
        """A mail to be looked at; None where the template does not exist in the language.

        Raises RenderFailed where it cannot be made of the facts of this kind.
        """
        source = self._source(sent)
        asked = request(self._book, sent, kind, source)
        draft = self._renderer.drafted(asked, unmarked)
        if draft.mail.locale != sent.locale:
            return None
        said = texts_of(asked.facts, contact_facts(asked.contact))
        return self._subject(sent, kind, draft, said)

    def _subject(self, sent: Sent, kind: str, draft: Draft, said: frozenset[str]) -> Mail:
        flow, step = sent.flow, sent.step
        return Mail(
            template=step.template,
            source=self._source(sent),
            message_class=step.flow_class,
            brand=self._book.brand,
            links=draft.links,
            mail=draft.mail,
            marked=draft.written,
            facts=kind,
            about_policy=any(isinstance(one, PolicyChangeTrigger) for one in flow.triggers),
            wire=draft.wire,
            size=len(draft.counted.html.encode()),
            own=OWN,
            names=titles(kind),
            said=said,
        )

    def _mails(self, sent: Sent) -> Iterator[Finding]:
        seen: set[tuple[str, str, str]] = set()
        for kind in KINDS:
            try:
                mail = self.mail(sent, kind)
                if mail is None:
                    return
                mail = self._compared(mail, sent)
            except PermanentError as failure:
                yield self._unmade(sent, kind, failure)
                if kind == TYPICAL:
                    return
                continue
            content = (mail.marked, mail.mail.text, mail.mail.subject)
            if content not in seen:
                seen.add(content)
                for rule in RULES:
                    for remark in rule.check(mail):
                        yield self._finding(sent, rule, remark, kind)

    def _compared(self, mail: Mail, sent: Sent) -> Mail:
        """With what it is compared to: the same made again, or of words that do no harm."""
        if mail.facts == HOSTILE:
            tame = self.mail(sent, TAME)
            return replace(mail, tame=tame.mail if tame else None)
        if mail.facts == TYPICAL:
            again = self.mail(sent, TYPICAL)
            return replace(mail, again=again.wire if again else None)
        return mail

    def _texts(self, sent: Sent) -> Iterator[Finding]:
        step, brand = sent.step, self._book.brand
        described = SentText(step.template, step.flow_class, tuple(sent.flow.program), sent.locale)
        yield from check_text(self._sms, brand, described, f"{self._folder}/{sent.channel.value}")
        for kind in KINDS:
            asked = request(self._book, sent, kind, self._source(sent))
            senders = dict.fromkeys(self._book.brand.sms) or {"": None}
            for country in senders:
                person = replace(asked.contact, country=country)
                try:
                    sms = self._renderer.drafted_text(replace(asked, contact=person))
                except PermanentError as failure:
                    yield self._unmade(sent, kind, failure)
                    break
                if sms.locale != sent.locale:
                    return
                text = Text(
                    step.template,
                    step.flow_class,
                    brand,
                    sms.text,
                    sms.locale,
                    sender=brand.sms_for(country) or "",
                    first=_is_first(sent),
                    facts=kind,
                )
                for rule in TEXT_RULES:
                    for remark in rule.check(text):
                        yield self._finding(sent, rule, remark, kind)

    def _finding(self, sent: Sent, rule: Rule | TextRule, remark: Remark, kind: str) -> Finding:
        place = self._place(sent, remark)
        file = f"{self._folder}/{place.path}"
        message = f"{remark.message}{_with(kind)}"
        return Finding(
            rule.severity, rule.number, file, place.line, place.column, message, remark.hint
        )

    def _place(self, sent: Sent, remark: Remark) -> Place:
        lineage = [*remark.element.lineage] if remark.element else []
        clues = (*remark.clues, *_clues(remark.element))
        return self._places.of(self._path(sent), [one.at for one in lineage], clues)

    def _unmade(self, sent: Sent, kind: str, failure: PermanentError) -> Finding:
        """A template that these facts cannot fill: nobody with such facts would get a message."""
        line = (failure.line or 0) if isinstance(failure, RenderFailed) else 0
        message = failure.message if isinstance(failure, RenderFailed) else str(failure)
        # What only the shop knows of its own keys cannot be made up rightly.
        certain = kind == TYPICAL and not OPEN_KEY.search(self._source(sent))
        return Finding(
            Severity.ERROR if certain else Severity.WARNING,
            "template",
            f"{self._folder}/{self._path(sent)}",
            line,
            1 if line else 0,
            f"no message comes of it: {message}{_with(kind)}",
            _SEE if message.startswith((MISCALLED, UNEXTENDED, "unknown ")) else _FALL_BACK,
        )

    def _path(self, sent: Sent) -> str:
        sources = of_channel(self._sources, sent.channel)
        wanted = (sent.step.template, SUFFIXES[sent.channel], sent.locale, self._book.brand.locale)
        return f"{sent.channel.value}/{localised(sources, *wanted)[0]}"

    def _source(self, sent: Sent) -> str:
        return self._sources.get(self._path(sent), "")

    def _key(self, sent: Sent) -> str:
        """A hash of everything the result depends on."""
        step, flow = sent.step, sent.flow
        told = [step.template, step.flow_class, step.topic, repr(step.subject), sent.locale]
        steps = [[type(one).__name__, repr(one)] for one in flow.steps]
        files = self._needed(sent)
        return _digest([self._shared, self._folder, sent.channel, told, steps, files])

    def _needed(self, sent: Sent) -> list[tuple[str, str]]:
        """Path and text of every file that the message may be made of."""
        prefix = f"{sent.channel.value}/"
        waiting, needed = [self._path(sent)], set[str]()
        while waiting:
            path = waiting.pop()
            if path in needed or path not in self._sources:
                continue
            needed.add(path)
            for found in _NAMED.finditer(self._sources[path]):
                name = found[1] or found[2]
                if name is None:
                    return sorted(self._sources.items())  # which one, only rendering tells
                waiting.append(prefix + name)
        shared = re.compile(rf"{prefix}[^/]*|locales/{sent.locale.partition('-')[0]}.*")
        return sorted(
            (path, text)
            for path, text in self._sources.items()
            if path in needed or shared.fullmatch(path)
        )


def _with(kind: str) -> str:
    return f" (with {_WITH[kind]})" if kind in _WITH else ""


_WITH: Final = {
    "minimal": "nothing but an address",
    "maximal": "long names and 20 items",
    "hostile": "hostile names",
    "right-to-left": "names from right to left",
    "no items": "no items",
    "one item": "one item",
    "three items": "three items",
}


def _is_first(sent: Sent) -> bool:
    """Whether no step before it sends a text."""
    sends = (one for one in sent.flow.steps if isinstance(one, SendStep))
    first = next((one for one in sends if Channel.SMS in one.via), None)
    return first is None or first.id == sent.step.id


class _StillClock:
    """Links of a check are signed at one moment."""

    def now(self) -> datetime:
        """That moment."""
        return NOW


def _once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Each thing once, though many facts and modes show it: the first that is told stays."""
    seen: set[tuple[object, ...]] = set()
    for one in findings:
        message = re.sub(r"\d+", "#", re.sub(r"\"[^\"]*\"| \(with [^)]*\)", "", one.message))
        key = (one.rule, one.file, one.line, one.column, message)
        if key not in seen:
            seen.add(key)
            yield one


def _clues(element: Element | None) -> Iterator[str]:
    """Texts of an element that may stand in the template as they are."""
    if element is None:
        return
    words = " ".join(element.text.split())
    yield words
    yield from (child for child in element.children if isinstance(child, str))
    for name in ("src", "href", "alt", "class"):
        yield element.attributes.get(name, "")
    if len(some := words.split()) > 3:  # noqa: PLR2004  # a beginning that is hardly by chance
        yield " ".join(some[:4])


def _digest(content: object) -> str:
    return sha256(json.dumps(content, default=str, ensure_ascii=False).encode()).hexdigest()
