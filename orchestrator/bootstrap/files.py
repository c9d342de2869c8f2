"""The marketers' files, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.flowfile import TemplateFile, check, load_file
from orchestrator.flowfile.source import Source as FlowSource
from orchestrator.rendering.checking import check_templates
from orchestrator.rendering.templates import has_template, load_folder, template_files
from orchestrator.services.versions import Candidate


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The flows file with its templates, and its text for showing findings in place."""

    candidate: Candidate
    source: FlowSource


def read_files(flows: Path, templates: Path) -> FilesRead:
    """Read and check the flows file and the templates it names. Raises ConfigurationError."""
    loaded = load_file(flows)
    sources = load_folder(templates)
    known = [
        TemplateFile(channel, name, f"{templates}/{path}")
        for channel, name, path in template_files(sources)
    ]
    findings = check(loaded, lambda channel, name: has_template(sources, channel, name), known)
    if loaded.book is not None:
        findings += check_templates(loaded.book, sources, str(templates))
    sendable = frozenset(
        (file.channel, file.name)
        for file in known
        if has_template(sources, file.channel, file.name)
    )
    candidate = Candidate(flows.name, loaded.source.text, sources, loaded.book, findings, sendable)
    return FilesRead(candidate, loaded.source)
