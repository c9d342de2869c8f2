"""What can be said against templates before anybody receives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Channel, Flow, FlowBook, SendStep
from orchestrator.rendering.catalogue_check import check_catalogues, unspoken, without_broken
from orchestrator.rendering.lint.fixtures import Sent
from orchestrator.rendering.lint.matrix import Matrix
from orchestrator.rendering.templates import SUFFIXES, has_template


def check_templates(
    book: FlowBook, templates: Mapping[str, str], folder: str
) -> tuple[Finding, ...]:
    """Mistakes in the templates that steps name: syntax, unknown names, rules of docs/rules.md.

    So are catalogues that cannot be used, and what they leave untranslated.

    Each is looked at in its step's class and flow, and in every language it has. A template that
    is missing is no finding of this check. `folder` is put before the path of a file.
    """
    named = frozenset((channel, step.template) for _, step, channel in _named(book))
    remarks = list(check_catalogues(templates, named, folder))
    templates = without_broken(templates)
    matrix = Matrix(book, templates, folder)
    for flow, step, channel in _named(book):
        for locale in _locales(templates, channel, step.template, book.brand.locale):
            remarks += matrix.findings(Sent(flow, step, channel, locale))
    if not any(one.severity is Severity.ERROR for one in remarks):
        remarks += unspoken(book, templates, named, folder)
    found = {(one.rule, one.file, one.line, one.column, one.message): one for one in remarks}
    return tuple(sorted(found.values(), key=lambda one: (one.file, one.line, one.message)))


def _named(book: FlowBook) -> Iterator[tuple[Flow, SendStep, Channel]]:
    """Every step that sends, on each of its channels that has templates."""
    for flow in book.flows.values():
        for step in flow.steps:
            if isinstance(step, SendStep):
                for channel in step.via:
                    if channel in {Channel.EMAIL, Channel.SMS}:
                        yield flow, step, channel


def _locales(
    templates: Mapping[str, str], channel: Channel, name: str, default: str
) -> Iterator[str]:
    """The brand's language, those with a file of their own, and those that have a catalogue."""
    if not has_template(templates, channel, name):
        return
    prefix, suffix = f"{channel.value}/{name}.", SUFFIXES[channel]
    found = {default: None}
    for path in templates:
        middle = path.removeprefix(prefix).removesuffix(suffix)
        if path == f"{prefix}{middle}{suffix}" and "." not in middle:
            found[middle] = None
        elif path.startswith("locales/") and path.endswith(".po"):
            found[path.split("/")[1].removesuffix(".po")] = None
    yield from found
