"""What rules look at: a message as made for a made-up person; and what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from orchestrator.domain.findings import Severity
from orchestrator.domain.flows import Brand, MessageClass
from orchestrator.rendering.email import RenderedEmail
from orchestrator.rendering.lint import looks
from orchestrator.rendering.lint.colours import paint
from orchestrator.rendering.lint.looks import Look, Styles
from orchestrator.rendering.lint.page import Element, Page
from orchestrator.rendering.theme import direction

TYPICAL: Final = "typical"
_PAINTING: Final = frozenset({"background", "background-color"})
LONGEST: Final = 40
"""Characters of a text in a report."""


@dataclass(frozen=True)
class Mail:
    """A mail to be looked at.

    `mail` is as it is sent but for counted links, `marked` its HTML with marks of places, `size`
    the bytes of its HTML with counted links, `wire` the whole message, `names` the items' names
    that the facts hold, `said` all texts that came from the facts.
    """

    template: str
    source: str
    message_class: MessageClass
    brand: Brand
    links: Mapping[str, str | None]
    mail: RenderedEmail
    marked: str
    facts: str = TYPICAL
    about_policy: bool = False
    wire: bytes = b""
    size: int = 0
    own: str = ""
    names: tuple[str, ...] = ()
    said: frozenset[str] = frozenset()
    tame: RenderedEmail | None = None
    again: bytes | None = None
    """The same message made a second time."""

    @cached_property
    def page(self) -> Page:
        """The HTML as a tree."""
        return Page(self.marked)

    @property
    def locale(self) -> str:
        """The language of the mail."""
        return self.mail.locale

    @property
    def language(self) -> str:
        """Its primary subtag."""
        return self.locale.replace("_", "-").partition("-")[0].lower()

    @property
    def rtl(self) -> bool:
        """Whether it is written from right to left."""
        return direction(self.locale) == "rtl"

    @property
    def marketing(self) -> bool:
        """Whether it advertises."""
        return self.message_class is MessageClass.MARKETING

    @cached_property
    def inline(self) -> Styles:
        """Styles where a client drops every sheet."""
        return looks.styles(self.page, looks.INLINE)

    @cached_property
    def light(self) -> Styles:
        """Styles in light mode."""
        if not looks.differ(self.page, looks.INLINE, looks.LIGHT):
            return self.inline
        return looks.styles(self.page, looks.LIGHT)

    @cached_property
    def dark(self) -> Styles:
        """Styles in dark mode."""
        return looks.styles(self.page, looks.DARK)

    @cached_property
    def modes(self) -> tuple[tuple[Look, Styles], ...]:
        """Every look that is one of its own: light, dark, and Outlook's dark."""
        found = [(looks.INLINE, self.inline)]
        if self.light is not self.inline:
            found.append((looks.LIGHT, self.light))
        found.append((looks.DARK, self.dark))
        if looks.differ(self.page, looks.DARK, looks.OUTLOOK):
            found.append((looks.OUTLOOK, looks.styles(self.page, looks.OUTLOOK)))
        return tuple(found)

    @cached_property
    def unturned(self) -> frozenset[Element]:
        """What is painted in place and keeps its paint in dark mode."""
        turning = [
            rule
            for sheet in self.page.sheets
            for rule in sheet.rules
            if rule.dark and any(one.name in _PAINTING for one in rule.declarations)
        ]
        painted = (one for one in self.page.seen if paint(painted_in_place(one) or ""))
        return frozenset(
            one for one in painted if not any(looks.matches(rule, one) for rule in turning)
        )

    @cached_property
    def texts(self) -> tuple[tuple[Element, str], ...]:
        """Every text that is shown, with the element it stands in."""
        return tuple(
            (one, child)
            for one in (self.page.body, *self.page.seen)
            for child in one.children
            if isinstance(child, str) and child.strip(" \t\r\n\xa0\u034f\u200c")
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A text message to be looked at, as it is sent.

    `first` tells that no text goes before it in its flow.
    """

    template: str
    message_class: MessageClass
    brand: Brand
    text: str
    locale: str
    sender: str = ""
    first: bool = False
    facts: str = TYPICAL


@dataclass(frozen=True, slots=True)
class Remark:
    """What a rule says of a place: what is wrong, and what to write instead.

    `clues` are texts that stand at the place in the template; without any they are those of the
    element itself.
    """

    message: str
    hint: str = ""
    element: Element | None = None
    clues: tuple[str, ...] = field(default=())


def painted_in_place(element: Element) -> str | None:
    """The background that an element's own attributes give it."""
    own = element.style("background-color") or element.style("background")
    return own or element.attributes.get("bgcolor")


def short(text: str) -> str:
    """The words on one line, cut for a report."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of docs/rules.md by its number, and the check that holds it."""

    number: str
    severity: Severity
    check: Callable[[Mail], Iterator[Remark]]


@dataclass(frozen=True, slots=True)
class TextRule:
    """A rule about text messages, likewise."""

    number: str
    severity: Severity
    check: Callable[[Text], Iterator[Remark]]
