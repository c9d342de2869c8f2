"""The library of published versions, on an open database."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.bootstrap.databases import OpenDatabase
from orchestrator.domain.errors import NotFound
from orchestrator.domain.flows import FlowBook
from orchestrator.flowfile import load_text
from orchestrator.ports import Clock, Renderer
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenSigner
from orchestrator.rendering.message import MessageRenderer
from orchestrator.services.versions import Compile, MakeRenderer, VersionLibrary
from orchestrator.settings import Settings


def link_tokens(settings: Settings, clock: Clock) -> SignedLinkTokens:
    """The tokens of links, signed with SECRET_KEY."""
    keys = [key.get_secret_value() for key in settings.secret_key]
    return SignedLinkTokens(TokenSigner(keys), clock)


def open_library(settings: Settings, opened: OpenDatabase) -> VersionLibrary:
    """The versions of a database; nothing is read before it is asked for."""
    return VersionLibrary(opened.database, *library_parts(settings, opened))


def library_parts(settings: Settings, opened: OpenDatabase) -> tuple[Compile, MakeRenderer]:
    """How a library compiles a version, and how it makes the renderer of one."""
    links = Links(settings.base_url, link_tokens(settings, opened.clock))

    def renderer(book: FlowBook, templates: Mapping[str, str]) -> Renderer:
        return MessageRenderer(book, templates, links)

    return _compile, renderer


def _compile(source: str, name: str) -> FlowBook:
    book = load_text(source, name).book
    if book is None:
        raise NotFound(
            f"a published version of {name} can no longer be read by this program; "
            "`orchestrator check` says why, `orchestrator apply` publishes it anew"
        )
    return book
