"""What can be said against templates before anybody receives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Channel, FlowBook, MessageClass, SendStep
from orchestrator.rendering.email import EmailRenderer
from orchestrator.rendering.sms import SmsRenderer
from orchestrator.rendering.sms_check import SentText, check_text
from orchestrator.rendering.templates import SUFFIXES, has_template


def check_templates(
    book: FlowBook, templates: Mapping[str, str], folder: str
) -> tuple[Finding, ...]:
    """Mistakes in the templates that steps name: syntax, unknown names and fields.

    Text messages are looked at as they come out, too: see `sms_check`. Every language a template
    has a file for is looked at. A template that is missing is no finding of this check. `folder`
    is put before the path of a file.
    """
    brand, topics, attributes = book.brand, book.topics, book.attributes
    mails = EmailRenderer(templates, brand, topics, attributes)
    texts = SmsRenderer(templates, brand, topics, attributes)
    found: dict[tuple[str, int, str], Finding] = {}
    for channel, name, outputs, message_class in _named(book):
        check = mails.check if channel is Channel.EMAIL else texts.check
        place = f"{folder}/{channel.value}"
        for locale in _locales(templates, channel, name, brand.locale):
            failures = check(name, outputs, locale)
            remarks = [_finding(failure, place) for failure in failures]
            if channel is Channel.SMS and not failures:
                sent = SentText(name, message_class, outputs, locale)
                remarks += check_text(texts, brand, sent, place)
            found |= {(one.file, one.line, one.message): one for one in remarks}
    return tuple(sorted(found.values(), key=lambda one: (one.file, one.line, one.message)))


def _named(book: FlowBook) -> Iterator[tuple[Channel, str, tuple[str, ...], MessageClass]]:
    """Every template a step sends on a channel, with the ids whose outputs it may name."""
    for flow in book.flows.values():
        outputs = tuple(flow.program)
        for step in flow.steps:
            if isinstance(step, SendStep):
                for channel in step.via:
                    if channel in {Channel.EMAIL, Channel.SMS}:
                        yield channel, step.template, outputs, step.flow_class


def _locales(
    templates: Mapping[str, str], channel: Channel, name: str, default: str
) -> Iterator[str]:
    if has_template(templates, channel, name):
        yield default
    prefix, suffix = f"{channel.value}/{name}.", SUFFIXES[channel]
    for path in templates:
        middle = path.removeprefix(prefix).removesuffix(suffix)
        if path == f"{prefix}{middle}{suffix}" and "." not in middle:
            yield middle


def _finding(failure: RenderFailed, folder: str) -> Finding:
    return Finding(
        Severity.ERROR,
        "template",
        f"{folder}/{failure.template}",
        failure.line or 0,
        1 if failure.line else 0,
        failure.message,
        "see docs/templates.md for the names and components there are",
    )
