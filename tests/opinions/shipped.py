"""Every shipped mail as the bytes that a provider takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Final

from orchestrator.domain.flows import Channel, FlowBook, MessageClass, SendStep
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.flowfile import load_file
from orchestrator.ports import RenderedMessage
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenSigner
from orchestrator.rendering.lint.fixtures import NOW, Sent, request
from orchestrator.rendering.lint.subject import TYPICAL
from orchestrator.rendering.locales import Catalogues
from orchestrator.rendering.message import MessageRenderer
from orchestrator.rendering.templates import load_folder

ROOT: Final = Path(__file__).parents[2]
PUBLIC_URL: Final = "https://links.northwind.example"
"""As an operator sets it: on the Internet there is no mail without https links."""
MESSAGE: Final = MessageId("019a9fd2-3b1c-7e4f-9a60-5c2d8e7b1f34")
PERSON: Final = ContactId("019a8c41-77de-7b02-8f15-2e6a9d3c4b70")
"""Ids as they are made: links and Message-IDs of a sample's zeros look like none that are sent."""


class StillClock:
    """Links are signed at one moment."""

    def now(self) -> datetime:
        return NOW


@dataclass(frozen=True)
class Shipped:
    """A mail of the shipped shop: who sends it and to whom, in which language."""

    name: str
    locale: str
    message_class: MessageClass
    facts: str
    message: RenderedMessage

    @property
    def place(self) -> str:
        return f"{self.name} {self.locale} ({self.facts})"

    @property
    def html(self) -> str:
        part = message_from_bytes(self.message.body, policy=policy.default).get_body(("html",))
        assert part is not None
        return str(part.get_content())


@cache
def renderer() -> tuple[FlowBook, dict[str, str], MessageRenderer]:
    book = load_file(ROOT / "flows.yaml").book
    assert book is not None
    templates = load_folder(ROOT / "templates")
    tokens = SignedLinkTokens(TokenSigner(["a secret of these tests"]), StillClock())
    return book, templates, MessageRenderer(book, templates, Links(PUBLIC_URL, tokens))


@cache
def locales() -> tuple[str, ...]:
    """Every language that mails are shipped in."""
    book, sources, _ = renderer()
    return (book.brand.locale, *Catalogues(sources).tags)


def shipped(facts: str = TYPICAL) -> Iterator[Shipped]:
    """Every mail that a step of the shipped flows sends, in every language."""
    book, sources, made_by = renderer()
    steps = {
        (step.template, step.flow_class): (flow, step)
        for flow in book.flows.values()
        for step in flow.steps
        if isinstance(step, SendStep) and Channel.EMAIL in step.via
    }
    for (name, message_class), (flow, step) in steps.items():
        source = sources[f"email/{name}.html"]
        for locale in locales():
            asked = request(book, Sent(flow, step, Channel.EMAIL, locale), facts, source)
            message = made_by.render(
                replace(asked, message=replace(asked.message, id=MESSAGE, contact_id=PERSON))
            )
            assert message.locale == locale
            yield Shipped(name, locale, message_class, facts, message)
