"""Publishing: a sound edit goes live whole, a broken or cruel one not at all."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.errors import NotFound
from orchestrator.domain.findings import Finding, Severity, has_errors
from orchestrator.domain.flows import FlowBook, OnChange
from orchestrator.domain.identifiers import VersionHash
from orchestrator.domain.moves import Use, destination, templates_ahead
from orchestrator.ports import Clock, Database, Standing, StoredVersion, UnitOfWork
from orchestrator.services.versions import Candidate, VersionLibrary

log = logging.getLogger(__name__)

LAST_TRY: Final = "publishing"
"""The watermark under which the newest try to publish is kept."""
LONGEST_LINE: Final = 500
"""How much of a line is kept with what was found in it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two versions, by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    settings: bool = False
    """Something outside the flows: brand, topics, policies, segments, tables."""

    def sentences(self) -> list[str]:
        """A line for each kind of change."""
        kinds = {
            "new flows": self.added,
            "removed flows": self.removed,
            "changed flows": self.changed,
            "changed templates": self.templates,
        }
        lines = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
        return [*lines, "changed: brand or shared settings"] if self.settings else lines


@dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing.

    `version` is None where the findings stopped it; `changed` is false where that version was
    live already.
    """

    version: VersionHash | None
    revision: int
    changed: bool
    findings: tuple[Finding, ...] = ()
    changes: Changes = Changes()


def publish(
    database: Database, library: VersionLibrary, candidate: Candidate, by: str, clock: Clock
) -> Published:
    """Make a candidate live by compare-and-set; the loser of a race tries again.

    One with errors is refused, and so is one that leaves people nowhere to go. Whatever comes
    of it is remembered for `last_try`. `by` says who published: `start`, `file`, `apply`.
    """
    _follow(library)
    findings = (*candidate.findings, *_stranded(database, library, candidate))
    if candidate.book is None or has_errors(findings):
        refused = Published(None, library.revision, changed=False, findings=findings)
        with database.transaction() as uow:
            _remember(uow, candidate, refused, by, clock.now())
        return refused
    version = candidate.hash()
    changes = _changes(library, candidate)
    stored = StoredVersion(version, candidate.name, candidate.source, candidate.templates)
    while True:
        with database.transaction() as uow:
            done = _go_live(uow, stored, candidate.book, by, clock.now())
            if done is not None:
                revision, changed = done
                published = Published(version, revision, changed, findings, changes)
                _remember(uow, candidate, published, by, clock.now())
        if done is not None:
            library.refresh()
            return published


def _follow(library: VersionLibrary) -> None:
    """Know the live version, if this program can read it: a newer one may refuse what was live."""
    try:
        library.refresh()
    except NotFound:
        log.warning("the live version can no longer be read; whatever is sound replaces it")


def _go_live(
    uow: UnitOfWork, stored: StoredVersion, book: FlowBook, by: str, now: datetime
) -> tuple[int, bool] | None:
    """The revision, and whether it is new; None if somebody else published meanwhile."""
    revision, live = uow.versions.live() or (0, None)
    changed = live != stored.hash
    if changed:
        uow.versions.save(stored, now)
        if not uow.versions.publish(stored.hash, revision, by, now):
            return None
        revision += 1
    if book.brand.privacy is not None:
        uow.privacy_versions.record(book.brand.privacy.version, now)
    return revision, changed


def _changes(library: VersionLibrary, candidate: Candidate) -> Changes:
    """What the candidate changes about the live version, as this process knows it."""
    new = candidate.book
    if new is None:
        return Changes()
    if not library.revision:
        return Changes(added=tuple(new.flows))
    live = library.live()
    old, templates = library.book(live), library.templates(live)
    paths = templates.keys() | candidate.templates.keys()
    shared = ("brand", "topics", "policies", "segments", "attributes", "tables")
    return Changes(
        added=tuple(name for name in new.flows if name not in old.flows),
        removed=tuple(name for name in old.flows if name not in new.flows),
        changed=tuple(
            name for name, flow in new.flows.items() if old.flows.get(name, flow) != flow
        ),
        templates=tuple(
            path for path in sorted(paths) if templates.get(path) != candidate.templates.get(path)
        ),
        settings=any(getattr(old, name) != getattr(new, name) for name in shared),
    )


# What people inside still need --------------------------------------------------------------


def _stranded(
    database: Database, library: VersionLibrary, candidate: Candidate
) -> tuple[Finding, ...]:
    """Errors for removed steps and templates that people still need.

    Read beside the writers: who enters in this very moment goes the old version's way, and
    that has been looked at if anybody else was on it.
    """
    if candidate.book is None:
        return ()
    with database.read() as uow:
        standing = uow.standings.runs()
        waiting = uow.standings.waiting()
    book, name = candidate.book, candidate.name
    needed: dict[tuple[str, Use], int] = defaultdict(int)
    lost: list[Finding] = []
    for place in standing:
        try:
            old = library.book(place.version).flows[place.flow]
        except NotFound:
            continue  # nobody can read any more what these runs were to do
        new = book.flows.get(place.flow)
        if new is None or new.on_change is OnChange.FINISH_OLD:
            for use in templates_ahead(old, place.step):
                needed[place.flow, use] += place.runs
        elif place.step is not None and destination(old, new, place.step) is None:
            lost.append(_lost_step(name, place))
    for one in waiting:
        use = Use(one.step, one.channel, one.template)
        needed[one.flow, use] = max(needed[one.flow, use], one.messages)
    gone = {
        key: people
        for key, people in needed.items()
        if (key[1].channel, key[1].template) not in candidate.sendable
    }
    return (*lost, *_lost_templates(name, gone))


def _lost_step(file: str, place: Standing) -> Finding:
    return _error(
        file,
        f'{_people(place.runs)} at the step "{place.step}" of the flow "{place.flow}", and the '
        "edit does not say where they go on",
        f"add moved: {{{place.step}: NEW_STEP}} to the flow, give the step an id, or put it back",
    )


def _lost_templates(file: str, gone: Mapping[tuple[str, Use], int]) -> Iterator[Finding]:
    for (flow, use), people in gone.items():
        yield _error(
            file,
            f'there is no {use.channel.value} template "{use.template}" any more, but '
            f'{_people(people)} still to get it in the flow "{flow}" (step {use.step})',
            "keep the file until they are through, or set on_change: move_to_new in the flow",
        )


def _people(number: int) -> str:
    return "1 person is" if number == 1 else f"{number:,} people are"


def _error(file: str, message: str, hint: str) -> Finding:
    return Finding(Severity.ERROR, "moved", file, 0, 0, message, hint)


# The newest try -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LastTry:
    """The newest try to publish, for whoever looks at what is live.

    `version` is None where it was refused: the version before it is still live.
    """

    at: datetime
    by: str
    file: str
    version: VersionHash | None
    findings: tuple[Finding, ...]
    lines: tuple[str, ...] = ()
    """The line that each finding is about; empty where it is about a whole file."""


def last_try(uow: UnitOfWork) -> LastTry | None:
    """The newest try to publish, with what was found; None before the first."""
    text = uow.firings.watermark(LAST_TRY)
    if text is None:
        return None
    told = json.loads(text)
    return LastTry(
        at=datetime.fromisoformat(told["at"]),
        by=told["by"],
        file=told["file"],
        version=told["version"],
        findings=tuple(
            Finding(**{**row, "severity": Severity(row["severity"])}) for row in told["findings"]
        ),
        lines=tuple(told.get("lines", [""] * len(told["findings"]))),
    )


def _remember(
    uow: UnitOfWork, candidate: Candidate, published: Published, by: str, now: datetime
) -> None:
    told: dict[str, Any] = {
        "at": now.isoformat(),
        "by": by,
        "file": candidate.name,
        "version": published.version,
        "findings": [asdict(finding) for finding in published.findings],
        "lines": [_line_of(candidate, finding) for finding in published.findings],
    }
    uow.firings.set_watermark(LAST_TRY, json.dumps(told, ensure_ascii=False), now)


def _line_of(candidate: Candidate, finding: Finding) -> str:
    """The line of the flows file or of a template that a finding is about."""
    source = candidate.source
    for path, text in candidate.templates.items():
        if finding.file.endswith(f"/{path}"):
            source = text
    lines = source.splitlines()
    return lines[finding.line - 1][:LONGEST_LINE] if 0 < finding.line <= len(lines) else ""
