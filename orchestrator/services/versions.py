"""Published versions: compiled once, pinned by runs, switched whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

from orchestrator.domain.errors import NotFound
from orchestrator.domain.findings import Finding, has_errors
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.identifiers import VersionHash
from orchestrator.ports import Database, Renderer


@dataclass(frozen=True, slots=True)
class Candidate:
    """A flows file with its templates, as read from disk; `book` is None if it is broken."""

    name: str
    source: str
    templates: Mapping[str, str]
    book: FlowBook | None
    findings: tuple[Finding, ...]
    sendable: frozenset[tuple[Channel, str]] = frozenset()
    """The templates that a step can send, by channel and `group/name`."""

    @property
    def publishable(self) -> bool:
        """Whether it may go live."""
        return self.book is not None and not has_errors(self.findings)

    def hash(self) -> VersionHash:
        """The SHA-256 of the flows' meaning and of every template, in hexadecimal."""
        meaning = self.book.version_hash if self.book else ""
        content = json.dumps([meaning, sorted(self.templates.items())], ensure_ascii=False)
        return VersionHash(sha256(content.encode()).hexdigest())


Compile = Callable[[str, str], FlowBook]
"""The book of a stored source and its file's name; raises NotFound if it no longer compiles."""

MakeRenderer = Callable[[FlowBook, Mapping[str, str]], Renderer]


class VersionLibrary:
    """Compiled versions by hash, and which of them is live. Safe to ask from any thread."""

    def __init__(self, database: Database, compile_source: Compile, renderer: MakeRenderer) -> None:
        self._database = database
        self._compile = compile_source
        self._make_renderer = renderer
        self._books: dict[VersionHash, FlowBook] = {}
        self._renderers: dict[VersionHash, Renderer] = {}
        self._templates: dict[VersionHash, Mapping[str, str]] = {}
        self._live: VersionHash | None = None
        self.revision = 0
        self._lock = Lock()

    def live(self) -> VersionHash:
        """The version new runs enter with; raises NotFound before the first publishing."""
        if self._live is None:
            msg = "no version of the flows has been published yet"
            raise NotFound(msg)
        return self._live

    def book(self, version: VersionHash) -> FlowBook:
        """The flows of a version; raises NotFound."""
        if version not in self._books:
            self._fetch(version)
        return self._books[version]

    def renderer(self, version: VersionHash) -> Renderer:
        """The renderer of a version's templates and brand; raises NotFound."""
        known = self._renderers.get(version)
        if known is None:
            book = self.book(version)
            with self._lock:
                known = self._renderers.get(version)
                if known is None:
                    known = self._make_renderer(book, self._templates[version])
                    self._renderers[version] = known
        return known

    def templates(self, version: VersionHash) -> Mapping[str, str]:
        """The template sources of a version, by path; raises NotFound."""
        self.book(version)
        return self._templates[version]

    def refresh(self) -> bool:
        """Follow what has been published; True if another version is live now."""
        with self._database.read() as uow:
            newest = uow.versions.live()
        if newest is None or newest[0] == self.revision:
            return False
        self._fetch(newest[1])
        self.revision, self._live = newest
        with self._lock:  # messages are rendered with the live templates alone
            self._renderers = {
                version: one for version, one in self._renderers.items() if version == newest[1]
            }
        return True

    def _fetch(self, version: VersionHash) -> None:
        if version in self._books:
            return
        with self._database.read() as uow:
            stored = uow.versions.load(version)
        if stored is None:
            msg = f"there is no version {version}"
            raise NotFound(msg)
        book = self._compile(stored.source, stored.name)
        with self._lock:
            self._templates[version] = stored.templates
            self._books[version] = book
