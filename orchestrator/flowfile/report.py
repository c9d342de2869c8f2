"""Findings as a terminal shows them: the line, a caret under the place, the remedy."""

from __future__ import annotations

from typing import Final
from unicodedata import combining, east_asian_width

from orchestrator.domain.findings import Finding, Severity
from orchestrator.flowfile.source import Source

_WIDTH: Final = 72
_LEAD: Final = 24


def render_finding(finding: Finding, source: Source) -> str:
    """One finding in up to three lines, at most about 80 columns wide where the line allows.

    A place in another file than `source` (a template) is named but not shown.
    """
    word = "" if finding.severity is Severity.ERROR else f"{finding.severity.value}: "
    place = f":{finding.line}:{finding.column}" if finding.line else ""
    head = f"{finding.file}{place}: {word}{finding.message}"
    if not finding.line or finding.file != source.name:
        hint = f"\n      {finding.hint}" if finding.hint else ""
        return f"{head}{hint}"
    line, start = _window(source.line(finding.line), finding.column - 1)
    under = line[start : start + finding.length]
    pad = "".join("\t" if char == "\t" else " " * _columns(char) for char in line[:start])
    caret = "^" * max(1, sum(_columns(char) for char in under))
    hint = f" {finding.hint}" if finding.hint else ""
    return f"{head}\n{finding.line:>5} | {line}\n      | {pad}{caret}{hint}"


def render_findings(findings: tuple[Finding, ...], source: Source) -> str:
    """All findings, an empty line between them."""
    return "\n\n".join(render_finding(finding, source) for finding in findings)


def _window(line: str, at: int) -> tuple[str, int]:
    """The part of a long line around a place, and the place in it."""
    if len(line) <= _WIDTH:
        return line, at
    start = max(0, min(at - _LEAD, len(line) - _WIDTH))
    part = line[start : start + _WIDTH]
    head, tail = "…" if start else "", "…" if start + _WIDTH < len(line) else ""
    return f"{head}{part}{tail}", at - start + len(head)


def _columns(char: str) -> int:
    if combining(char):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
