"""What a preview is made from: the marketers' files, published or not."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from orchestrator.bootstrap.databases import open_database
from orchestrator.domain.errors import ConfigurationError, NotFound
from orchestrator.domain.findings import Severity
from orchestrator.domain.flows import Channel, Flow
from orchestrator.flowfile import load_file, render_finding
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenSigner
from orchestrator.rendering.message import MessageRenderer
from orchestrator.rendering.templates import load_folder, template_files
from orchestrator.services.contact_view import find_contact
from orchestrator.services.previewing import (
    FilesLibrary,
    named_like,
    scene_of,
    sending_step,
)
from orchestrator.services.samples import Sample, Scene, sample_of, sample_scene
from orchestrator.settings import load_settings
from orchestrator.sources.phones import normalise_phone
from orchestrator.storage.clock import SystemClock

_URL: Final = "http://127.0.0.1:8000"
_SECRET: Final = "links of a preview lead to nobody"  # noqa: S105  # it guards nothing


class Previews:
    """Templates of a folder, as people would get them."""

    def __init__(self, flows: Path, templates: Path) -> None:
        """Read the files.

        Raises:
            ConfigurationError: the flows have errors: the first, and how to see the rest.
        """
        loaded = load_file(flows)
        book = loaded.book
        if book is None:
            errors = [one for one in loaded.findings if one.severity is Severity.ERROR]
            wrong = render_finding(errors[0], loaded.source)
            raise ConfigurationError(f"{wrong}\n\n`orchestrator check {flows}` lists every mistake")
        self._clock = SystemClock()
        self._sources = load_folder(templates)
        links = Links(_URL, SignedLinkTokens(TokenSigner([_SECRET]), self._clock))
        self._book = book
        self._library = FilesLibrary(book, MessageRenderer(book, self._sources, links))

    def channels(self, template: str) -> list[Channel]:
        """The channels a template is written for; raises NotFound for a name that is none's."""
        files = template_files(self._sources)
        found = [channel for channel, name, _ in files if name == template]
        if not found:
            known = sorted({name for _, name, _ in files})
            raise NotFound(f"there is no template {template}; {named_like(template, known)}")
        return found

    def sample(
        self,
        template: str,
        channel: Channel,
        *,
        locale: str | None = None,
        contact: str | None = None,
    ) -> Sample:
        """The message; `contact` is a real person's address, number or id.

        Raises NotFound if nobody is known by it.
        """
        flow, step = sending_step(self._book, template, channel)
        now = self._clock.now()
        if contact is None:
            scene = sample_scene(self._book, now, locale)
        else:
            scene = self._real(flow, contact, now, locale)
        return sample_of(self._library, flow, step, channel, now, scene)

    def _real(self, flow: Flow, contact: str, now: datetime, locale: str | None) -> Scene:
        with open_database(load_settings()) as opened, opened.database.read() as uow:
            person = find_contact(uow, contact, normalise_phone)
            if person is None or person.erased_at is not None:
                raise NotFound(f"nobody is known as {contact}")
            return scene_of(uow, self._book, flow, person, now, locale)
