"""The marketers' files, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.identifiers import VersionHash
from orchestrator.flowfile import Loaded, TemplateFile, check, load_file
from orchestrator.flowfile.source import Source as FlowSource
from orchestrator.rendering.checking import check_templates
from orchestrator.rendering.templates import has_template, read_folder, template_files
from orchestrator.rendering.theme import tokens_for
from orchestrator.services.versions import Candidate


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The flows file with its templates, and its text for showing findings in place."""

    candidate: Candidate
    source: FlowSource


def read_files(flows: Path, templates: Path, live: VersionHash | None = None) -> FilesRead:
    """Read and check the flows file and the templates it names. Raises ConfigurationError.

    The messages of the `live` version are not looked at again: it went live without an error,
    and a restart must not wait for what can change nothing.
    """
    loaded = load_file(flows)
    sources, misread = read_folder(templates)
    known = [
        TemplateFile(channel, name, f"{templates}/{path}")
        for channel, name, path in template_files(sources)
    ]
    found = check(loaded, lambda channel, name: has_template(sources, channel, name), known)
    findings = misread + found
    sendable = frozenset(
        (file.channel, file.name)
        for file in known
        if has_template(sources, file.channel, file.name)
    )
    candidate = Candidate(flows.name, loaded.source.text, sources, loaded.book, findings, sendable)
    if loaded.book is not None and not misread and candidate.hash() != live:
        more = check_templates(loaded.book, sources, str(templates)) + _pale_accent(loaded)
        candidate = replace(candidate, findings=findings + more)
    return FilesRead(candidate, loaded.source)


def _pale_accent(loaded: Loaded) -> tuple[Finding, ...]:
    """What mails have in place of an accent that could not be read on their paper (rule A13)."""
    accent = str(loaded.book.brand.theme.get("accent") or "") if loaded.book else ""
    legible = tokens_for(accent)["accent"].light
    if not accent or legible == accent.lower():
        return ()
    line, column = loaded.source.place(max(loaded.source.text.find(accent), 0))
    message = f"the accent {accent} cannot be read well; mails and pages have {legible} instead"
    hint = f'write accent: "{legible}", or a darker one of your own'
    return (Finding(Severity.WARNING, "A13", loaded.source.name, line, column, message, hint),)
