"""The marketers' files, published at the start and whenever they have changed.

Looked at, not subscribed to: that works on network folders, through links, and when an editor
or a checkout replaces files and folders, and costs a millisecond for hundreds of files.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestrator.bootstrap.application import App
from orchestrator.bootstrap.files import FilesRead, read_files
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.findings import Finding, Severity
from orchestrator.flowfile.report import render_findings
from orchestrator.services.publishing import publish

log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Tells the person at the terminal."""

State = frozenset[tuple[str, int, int, int]]
"""Path, time of change in nanoseconds, size and inode of every file."""


class Edits:
    """Publishes an edit once the files have come to rest: the same at two looks in a row."""

    def __init__(self, app: App, say: Say) -> None:
        self._app = app
        self._say = say
        self._seen = self._taken_over = self._state()

    async def run_once(self) -> int:
        """Look once, off the event loop; 1 if an edit was published or refused."""
        return int(await asyncio.to_thread(self._look))

    def publish(self, by: str) -> bool:
        """Publish the files; with errors the last good version stays. False if there is none.

        Raises ConfigurationError for files that cannot be read at all while nothing is live.
        """
        app, settings = self._app, self._app.settings
        app.library.refresh()
        live = app.library.live() if app.library.revision else None
        try:
            read = read_files(settings.flows, settings.templates, live)
        except ConfigurationError as error:
            if live is None:
                raise
            self._say(f"{error}; the version published last stays live")
            log.error("the files cannot be read: the version published last stays live")  # noqa: TRY400 - told above
            return True
        published = publish(app.database, app.library, read.candidate, by, app.clock)
        _show(published.findings, read, settings.flows, self._say)
        if published.version is None:
            if published.revision:
                log.error("the flows file has errors: the version published last stays live")
        elif published.changed:
            told = {"version": published.version[:12], "revision": published.revision}
            log.info("flows are live", extra=told)
        return published.revision > 0

    def _look(self) -> bool:
        state, before = self._state(), self._seen
        self._seen = state
        if state == self._taken_over or state != before:
            return False
        self.publish("file")
        self._taken_over = state
        return True

    def _state(self) -> State:
        settings = self._app.settings
        return frozenset(_files(settings.flows, settings.templates))


def _files(flows: Path, templates: Path) -> Iterator[tuple[str, int, int, int]]:
    paths = [str(flows)]
    for folder, _, names in os.walk(templates, followlinks=True):
        paths += [os.path.join(folder, name) for name in names]  # noqa: PTH118 - many files
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 - many files
        except OSError:
            continue  # gone since, or not there at all: that shows as a change
        yield path, found.st_mtime_ns, found.st_size, found.st_ino


def _show(findings: Sequence[Finding], read: FilesRead, flows: Path, say: Say) -> None:
    """Errors in full; warnings are `check`'s to tell."""
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    if errors:
        say(render_findings(errors, read.source))
    # A file that no step names is no trouble while running; `check` tells of it.
    told = [one for one in findings if one.severity is Severity.WARNING and one.line]
    if warnings := len(told):
        counted = "1 warning" if warnings == 1 else f"{warnings} warnings"
        say(f"{counted} about {flows}: `orchestrator check {flows}` tells more")
