"""`NAME.test.yaml`, the tests of a flows file: read as that one is, each error in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from orchestrator.domain.durations import Duration
from orchestrator.domain.findings import Finding
from orchestrator.domain.flows import Channel, FlowBook, SendStep
from orchestrator.domain.hearing import ENGAGEMENT
from orchestrator.domain.journey_tests import (
    SENT,
    EnteredByHand,
    EventComes,
    Happening,
    JourneyTest,
    PolicyChanges,
    Told,
)
from orchestrator.domain.messages import NotSentReason
from orchestrator.domain.timing import after, zone_of
from orchestrator.flowfile.journey_events import Occurrence, OccurrenceShape, Several, When
from orchestrator.flowfile.journey_people import (
    Local,
    LocalMoment,
    compile_person,
    contact_shape,
    person_fields,
)
from orchestrator.flowfile.plain_values import AnyFields
from orchestrator.flowfile.shapes import Choice, JsonSchema, Text, Word, nearest
from orchestrator.flowfile.source import Log, Source, Span
from orchestrator.flowfile.structures import At, Field, Fields, Placed, Record, fields
from orchestrator.flowfile.texts import NAME
from orchestrator.flowfile.yaml_tree import read_tree

EARLIEST: Final = datetime(2001, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Between which a test may start: time zones are known there, and waits of years end."""

Unreadable = Callable[[Dictionary[str, Any]], Dictionary[str, str]]
"""What of an event's fields cannot be read, and why: `items[0].price` to `is not an amount`."""

_TEMPLATE: Final = Word(
    r"[a-z0-9_-]+/[a-z0-9_-]+", "a template as a send step names it", "cart/reminder"
)


AT: Final = Field("at", When(), "From the start; one minute off is right.", "1 hour", required=True)
CHANNEL: Final = Field("channel", Choice("channel", Channel), "By what.", "email", required=True)
TEMPLATE: Final = Field("template", At(_TEMPLATE), "Which.", "cart/reminder", required=True)
NOT_SENT: Final = Field(
    "not_sent", Choice("reason", NotSentReason), "Why it does not go out.", "no_consent"
)
OF_FLOW: Final = Field("flow", At(NAME), "Of which flow.", "abandoned_cart")
OF_STEP: Final = Field("step", Text("a step's id", "first"), "Of which step.", "first")
_MESSAGE: Final = Record(
    "test message",
    fields(AT, CHANNEL, TEMPLATE, NOT_SENT, OF_FLOW, OF_STEP),
    "a message",
    "- {at: 1 hour, channel: email, template: cart/reminder}",
)

TITLE: Final = Field(
    "name", At(Text("a name", "a buyer leaves")), "What is held.", "a buyer leaves", required=True
)
FLOW: Final = Field("flow", At(NAME), "Only this flow is live.", "abandoned_cart")
VARIANT: Final = Field("variant", AnyFields("variants", "{incentive: coupon}"), "Fixed draws.")
START: Final = Field(
    "start",
    At(LocalMoment(past=False)),
    "When it starts, by the contact's clock.",
    "2026-11-20 10:00",
    required=True,
)
EVENTS: Final = Field("events", Several(OccurrenceShape()), "What happens.", "[]")
EXPECT: Final = Field(
    "expect",
    Several(_MESSAGE),
    "Every message, in order.",
    "[{at: 1 hour, channel: email, template: cart/reminder}]",
    required=True,
)


def _contact(attributes: tuple[str, ...] = ()) -> Field[Fields]:
    shape = contact_shape(attributes)
    example = "{email: ada@example.com, consent: {email: [offers]}}"
    return Field("contact", shape, "Whom it is about.", example, required=True)


def _document(attributes: tuple[str, ...] = ()) -> tuple[Record, Field[tuple[Fields, ...]]]:
    test = Record(
        "test",
        fields(TITLE, FLOW, VARIANT, _contact(attributes), START, EVENTS, EXPECT),
        "a test",
        "- name: a buyer leaves the cart journey",
    )
    tests = Field("tests", Several(test), "The tests.", "- name: …", required=True)
    return Record("tests", fields(tests), "a file of tests", "tests:"), tests


def json_schema() -> JsonSchema:
    """The schema of `*.test.yaml` (JSON Schema 2020-12); a shop's own attributes go, too."""
    record, _ = _document()
    shape = record.schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flows.test.yaml",
        **shape,
    }


@dataclass(frozen=True, slots=True)
class LoadedTests:
    """The tests that could be read, and everything that is wrong with the file."""

    tests: tuple[JourneyTest, ...]
    findings: tuple[Finding, ...]
    source: Source


def path_of_tests(flows: Path) -> Path:
    """`shop/flows.yaml` has its tests in `shop/flows.test.yaml`."""
    return flows.with_name(f"{flows.stem}.test{flows.suffix}")


def load_tests(path: Path, book: FlowBook, unreadable: Unreadable) -> LoadedTests:
    """Read a file of tests of a book. Never raises: whatever is wrong is in `findings`."""
    name = str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "this is not UTF-8 text"
        log = Log(Source(name, ""))
        log.wrong("file", Span(0, 0), f"the file cannot be read: {why}", "save it as UTF-8 text")
        return LoadedTests((), tuple(log.findings), log.source)
    return read_tests(text, name, book, unreadable)


def read_tests(text: str, name: str, book: FlowBook, unreadable: Unreadable) -> LoadedTests:
    """Read tests from their text."""
    source = Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))
    log = Log(source)
    tree = read_tree(source, log)
    inner = Log(tree.source)
    tests: tuple[JourneyTest, ...] = ()
    if tree.root is not None:
        record, field_of_tests = _document(tuple(book.attributes))
        found = record.read(tree.root, inner)
        written = (found.get(field_of_tests) if found else None) or ()
        compiler = _Compiler(book, inner, unreadable)
        tests = tuple(test for one in written if (test := compiler.compile(one)) is not None)
    elif not log.findings:
        log.wrong("file", Span(0, 0), "the file is empty", "start with tests:")
    told = [one for one in inner.findings if one.line not in tree.mended]
    found_all = sorted({*log.findings, *told}, key=lambda one: (one.line, one.column, one.message))
    return LoadedTests(tests, tuple(found_all), source)


class _Compiler:
    """From what was written to tests, with names and times resolved."""

    def __init__(self, book: FlowBook, log: Log, unreadable: Unreadable) -> None:
        self._book = book
        self._log = log
        self._unreadable = unreadable

    def compile(self, found: Fields) -> JourneyTest | None:
        """The test, or None where something essential was refused."""
        contact = found.get(_contact())
        title, start = found.get(TITLE), found.get(START)
        if found.has(VARIANT):
            message = '"variant" is not available yet'
            self._log.wrong("unavailable", found.key(VARIANT), message, "remove it for now")
        flow = self._flow(found.get(FLOW))
        if contact is None or title is None or start is None:
            return None
        given = person_fields(contact, tuple(self._book.attributes))
        self._check_contact(contact, given)
        zone = zone_of(str(given.get("timezone") or ""), self._book.brand.timezone)
        began = self._started(start, zone)
        if began is None:
            return None
        line, column = self._log.source.place(found.node.start)
        happenings = [
            one
            for occurrence in found.get(EVENTS) or ()
            if (one := self._happening(occurrence, began, zone, flow)) is not None
        ]
        return JourneyTest(
            name=title.value,
            person=compile_person(contact, self._book, began, zone, self._log),
            start=began,
            zone=zone,
            happenings=tuple(sorted(happenings, key=lambda one: one.at)),
            expect=tuple(self._expected(found.get(EXPECT) or (), began, zone)),
            flow=flow,
            line=line,
            column=column,
        )

    def _started(self, start: Placed[Local], zone: tzinfo) -> datetime | None:
        """The moment in UTC, in seconds: nobody starts a test in between."""
        began = start.value.resolved(EARLIEST, zone).replace(microsecond=0)
        if EARLIEST <= began <= LATEST:
            return began
        message = f"a test starts between {EARLIEST.year} and {LATEST.year}"
        self._log.wrong("value", start.node, message, "write start: 2026-11-20 10:00")
        return None

    def _flow(self, flow: Placed[str] | None) -> str | None:
        if flow is None or flow.value in self._book.flows:
            return flow.value if flow else None
        names = [*self._book.flows]
        span = Span(flow.node.start, flow.node.end)
        self._log.wrong("name", span, f'unknown flow "{flow.value}"', nearest(flow.value, names))
        return None

    def _check_contact(self, contact: Fields, given: Dictionary[str, Any]) -> None:
        for place, why in self._unreadable({"contact": given}).items():
            name = place.removeprefix("contact.")
            span = contact.keys.get(name) or Span(contact.node.start, contact.node.start + 1)
            self._log.wrong("value", span, f"{place} {why}", "")

    def _happening(
        self, one: Occurrence, start: datetime, zone: tzinfo, only: str | None
    ) -> Happening | None:
        at = self._moment(one.at, start, zone)
        if at < start:
            self._log.wrong("value", one.node, "this is before the test starts", "write a later at")
            return None
        for place, why in self._unreadable(one.given.values).items():
            span = one.given.places.get(place, one.node)
            self._log.wrong("value", span, f"{place} {why}", "")
        if one.entered is not None:
            flow = self._flow(one.entered)
            return EnteredByHand(at, flow, one.given.values) if flow else None
        if one.event is None:
            return PolicyChanges(at) if self._has_policy(one) else None
        if one.event.value in ENGAGEMENT:
            self._check_step(one, only)
        return EventComes(at, one.event.value, one.given.values)

    def _has_policy(self, one: Occurrence) -> bool:
        if self._book.brand.privacy is not None:
            return True
        message = "there is no privacy policy that could change"
        self._log.wrong("name", one.node, message, "add privacy: to the brand")
        return False

    def _check_step(self, one: Occurrence, only: str | None) -> None:
        """What somebody does with a message names the step that sent it."""
        flows = [self._book.flows[only]] if only else [*self._book.flows.values()]
        steps = [step.id for flow in flows for step in flow.steps]
        step = one.given.values.get("step")
        if step is None:
            place = one.event.node if one.event else one.node
            message = "which message this is about is missing"
            self._log.wrong("missing", place, message, "write {step: first}, the id of its step")
        elif step not in steps:
            span = one.given.places["step"]
            named = [name for name in steps if not name[0].isdigit()] or steps
            message = f'no step has the id "{step}"'
            self._log.wrong("name", span, message, nearest(str(step), named))

    def _expected(
        self, written: tuple[Fields, ...], start: datetime, zone: tzinfo
    ) -> Iterator[Told]:
        for one in written:
            at, channel, template = one.get(AT), one.get(CHANNEL), one.get(TEMPLATE)
            reason = one.get(NOT_SENT)
            flow = self._flow(one.get(OF_FLOW))
            if at is None or channel is None or template is None:
                continue
            self._check_template(template)
            yield Told(
                at=self._moment(at, start, zone),
                channel=channel,
                template=template.value,
                outcome=reason.value if reason else SENT,
                flow=flow,
                step=one.get(OF_STEP),
            )

    def _check_template(self, template: Placed[str]) -> None:
        """The test fails by itself; this tells why."""
        flows = self._book.flows.values()
        sent = {
            step.template for flow in flows for step in flow.steps if isinstance(step, SendStep)
        }
        if template.value not in sent:
            span = Span(template.node.start, template.node.end)
            message = f'no step sends "{template.value}"'
            self._log.doubt("name", span, message, nearest(template.value, sorted(sent)))

    def _moment(self, at: Duration | Local, start: datetime, zone: tzinfo) -> datetime:
        if isinstance(at, Duration):
            return after(at, start, zone)
        return at.resolved(start, zone)
