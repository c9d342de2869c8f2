"""From the text of a flows.yaml to a book, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.domain.findings import Finding, Severity, has_errors
from orchestrator.domain.flows import Channel, FlowBook, SendStep
from orchestrator.flowfile.availability import report_unavailable
from orchestrator.flowfile.book import compile_book
from orchestrator.flowfile.shapes import nearest
from orchestrator.flowfile.source import Log, Source, Span
from orchestrator.flowfile.yaml_tree import read_tree

MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading a file.

    `book` is None when there are errors of grammar or names. A book that uses what is not
    available yet is there, to explain and to test, but `publishable` is false.
    """

    book: FlowBook | None
    findings: tuple[Finding, ...]
    source: Source
    draft: FlowBook | None = None
    """What could be compiled all the same where there are errors; for further checks alone."""
    steps: Mapping[tuple[str, str], Span] = field(default_factory=dict)
    """Where each step stands, by flow and step id."""

    @property
    def publishable(self) -> bool:
        """Whether nothing found stops publishing."""
        return self.book is not None and not has_errors(self.findings)

    def place(self, flow: str, step: str) -> tuple[int, int]:
        """Line and column of a step; zeros where it is not in the file."""
        span = self.steps.get((flow, step))
        return self.source.place(span.start) if span else (0, 0)


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """A template on disk: its channel, its `group/name` without locale, and its path."""

    channel: Channel
    name: str
    path: str


def load_file(path: Path) -> Loaded:
    """Read a file; one that cannot be read is a finding like any other."""
    name = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        log = Log(Source(name, ""))
        log.wrong(
            "file", Span(0, 0), f"the file cannot be read: {error.strerror}", "check its path"
        )
        return Loaded(None, tuple(log.findings), log.source)
    return load_bytes(content, name)


def load_bytes(content: bytes, name: str = "flows.yaml") -> Loaded:
    """Decode as UTF-8, with or without a byte order mark, and load."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "ignore")
        log = Log(Source(name, before + "\ufffd"))
        at = Span(len(before), len(before) + 1)
        message = "this is not UTF-8 text"
        log.wrong("file", at, message, "save the file as UTF-8 in your editor")
        return Loaded(None, tuple(log.findings), log.source)
    return load_text(text, name)


def load_text(text: str, name: str = "flows.yaml") -> Loaded:
    """Load flows.yaml from its text. Never raises: whatever is wrong is in `findings`."""
    source = Source(name, text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    log = Log(source)
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        message = f"the file is larger than {MOST_BYTES // 1_000_000} MB"
        log.wrong("file", Span(0, 0), message, "move what is not about journeys elsewhere")
        return Loaded(None, tuple(log.findings), source)
    tree = read_tree(source, log)
    if tree.root is None:
        if not log.findings:
            message = "the file is empty"
            log.wrong("file", Span(0, 0), message, "start with version: 1, brand: and flows:")
        return Loaded(None, _in_order(log.findings), source)
    inner = Log(tree.source)
    compiled = compile_book(tree.root, inner)
    broken = has_errors((*log.findings, *inner.findings))
    report_unavailable(inner)
    told = [finding for finding in inner.findings if finding.line not in tree.mended]
    found = _in_order([*log.findings, *told])
    if compiled is None or broken:
        draft, steps = (compiled.book, compiled.steps) if compiled else (None, {})
        return Loaded(None, found, source, draft, steps)
    return Loaded(compiled.book, found, source, compiled.book, compiled.steps)


def check(
    loaded: Loaded,
    template_exists: Callable[[Channel, str], bool],
    template_files: Iterable[TemplateFile] = (),
) -> tuple[Finding, ...]:
    """All findings of a loaded file, with those on its templates' existence."""
    if loaded.draft is None:
        return loaded.findings
    log = Log(loaded.source)
    files = tuple(template_files)
    named: set[tuple[Channel, str]] = set()
    for flow in loaded.draft.flows.values():
        for step in flow.steps:
            if isinstance(step, SendStep):
                named.update((channel, step.template) for channel in step.via)
                _check_templates(loaded, log, flow.name, step, template_exists, files)
    unused = [  # said only of a sound file: in a broken one a step may be missing
        Finding(
            Severity.WARNING,
            "template",
            file.path,
            0,
            0,
            f'no step sends "{file.name}" by {file.channel.value}',
            "remove the file, or name it in a step",
        )
        for file in files
        if loaded.book is not None and (file.channel, file.name) not in named
    ]
    return (*_in_order([*loaded.findings, *log.findings]), *unused)


def _check_templates(  # one call, its parts all at hand
    loaded: Loaded,
    log: Log,
    flow: str,
    step: SendStep,
    template_exists: Callable[[Channel, str], bool],
    files: tuple[TemplateFile, ...],
) -> None:
    for channel in step.via:
        if template_exists(channel, step.template):
            continue
        if (span := loaded.steps.get((flow, step.id))) is None:  # of a broken step
            continue
        suffix = "html" if channel is Channel.EMAIL else "txt"
        path = f"templates/{channel.value}/{step.template}.{suffix}"
        near = nearest(step.template, [one.name for one in files if one.channel is channel])
        hint = near if near.startswith("did") else f"create {path}"
        message = f'there is no {channel.value} template "{step.template}"'
        log.wrong("template", span, message, hint)


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(set(findings), key=lambda one: (one.line, one.column, one.message)))
