"""The last edit: whether it went live, and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from orchestrator.domain.findings import Finding, Severity
from orchestrator.services.publishing import LastTry, last_try
from orchestrator.web.pages.frame import Frame, Visit, errors_in
from orchestrator.web.parts import WebParts


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding with its line, cut at the place it is about; `under` stands below the line."""

    place: str
    message: str
    hint: str
    is_error: bool
    line: str
    under: str


class PublishingPage:
    """`/publishing`."""

    def __init__(self, parts: WebParts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame

    async def show(self, visit: Visit) -> Response:
        """The newest try to publish, with its findings."""
        tried = await self._parts.database.query(last_try)
        return await self._frame.page(
            visit,
            "publishing.html",
            tried=tried,
            at=visit.when(tried.at) if tried else None,
            live=self._parts.library.live() if visit.book else "",
            errors=errors_in(tried),
            findings=_shown(tried) if tried else [],
        )


def _shown(tried: LastTry) -> list[Shown]:
    """Errors first, each kind in the order of the file."""
    found = [
        (finding.severity is not Severity.ERROR, number, finding, line)
        for number, (finding, line) in enumerate(zip(tried.findings, tried.lines, strict=False))
    ]
    return [_one(finding, line) for _, _, finding, line in sorted(found, key=lambda one: one[:2])]


def _one(finding: Finding, line: str) -> Shown:
    place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
    number = f"{finding.line:>5} | "
    before = line[: max(finding.column - 1, 0)]
    width = max(1, min(finding.length, len(line) - len(before)))
    pad = "".join("\t" if char == "\t" else " " for char in before)
    return Shown(
        place=place,
        message=finding.message,
        hint=finding.hint,
        is_error=finding.severity is Severity.ERROR,
        line=number + line if line else "",
        under=" " * (len(number) - 2) + "| " + pad + "^" * width if line else "",
    )
