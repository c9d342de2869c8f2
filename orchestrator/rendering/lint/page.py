"""A finished mail's HTML as a tree; each element knows where in a template it was written."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from html.parser import HTMLParser
from typing import Final

from orchestrator.rendering.lint.css import Declaration, StyleSheet, declarations, sheet
from orchestrator.rendering.lint.places import MARK

VOID: Final = frozenset("area base br col embed hr img input link meta source wbr".split())
BLOCKS: Final = frozenset(
    """
    address article aside blockquote body center dd div dl dt figure footer form h1 h2 h3 h4 h5 h6
    header hr html li main nav ol p pre section table tbody td tfoot th thead tr ul
    """.split()
)
HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")
_ENDED_BY_OTHERS: Final = frozenset(
    "html head body p li dt dd tr td th thead tbody tfoot colgroup caption".split()
)
"""Elements whose end may be left out (HTML 13.1.2.4), or means the same where it stands."""
_UNSEEN: Final = frozenset({"style", "script", "title", "head", "template"})
# What the start of an element closes by itself, and what that does not reach beyond (HTML 13.2.6).
_CLOSED: Final = {
    "li": (frozenset({"li"}), frozenset({"ul", "ol"})),
    "td": (frozenset({"td", "th"}), frozenset({"tr", "table"})),
    "tr": (frozenset({"tr"}), frozenset({"table"})),
}
_IN_PARAGRAPH: Final = (
    frozenset({"p"}),
    frozenset({"table", "td", "th", "div", "li", "blockquote", "body"}),
)
_ENDS_PARAGRAPH: Final = BLOCKS - {"tr", "td", "th", "tbody", "thead", "tfoot", "html", "body"}


class Element:
    """An element: `children` are elements and texts, `at` is where its tag is written."""

    __slots__ = ("at", "attributes", "children", "classes", "declared", "number", "parent", "tag")

    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None) -> None:
        self.tag = tag
        self.at = attributes.pop(MARK, None)
        self.attributes = attributes
        self.parent = parent
        self.children: list[Element | str] = []
        self.classes: list[str] = attributes.get("class", "").split()
        self.declared: tuple[Declaration, ...] = declarations(attributes.get("style", ""))
        self.number = 0

    @property
    def lineage(self) -> Iterator[Element]:
        """The element and those around it, from within outwards."""
        here: Element | None = self
        while here is not None:
            yield here
            here = here.parent

    @property
    def block(self) -> Element:
        """The nearest element around it that begins a line of its own, or itself."""
        return next((one for one in self.lineage if one.tag in BLOCKS), self)

    def all(self, *tags: str) -> Iterator[Element]:
        """Every element below, in order; of these tags, or of any."""
        for child in self.children:
            if isinstance(child, Element):
                if not tags or child.tag in tags:
                    yield child
                yield from child.all(*tags)

    def around(self, *tags: str) -> Element | None:
        """The nearest element around it with one of these tags."""
        above = self.parent.lineage if self.parent else ()
        return next((one for one in above if one.tag in tags), None)

    def style(self, name: str) -> str | None:
        """A property of its own `style` attribute."""
        return next((one.value for one in reversed(self.declared) if one.name == name), None)

    @property
    def text(self) -> str:
        """What is written in it, spaces as they are."""
        return "".join(
            child if isinstance(child, str) else child.text
            for child in self.children
            if isinstance(child, str) or child.tag not in _UNSEEN
        )

    @property
    def words(self) -> str:
        """What is read out: its label, else text and the alternative texts of pictures."""
        if label := self.attributes.get("aria-label", "").strip():
            return label
        return " ".join("".join(self._spoken()).split())

    def _spoken(self) -> Iterator[str]:
        if self.attributes.get("aria-hidden") == "true" or self.style("display") == "none":
            return
        if self.tag == "img":
            yield self.attributes.get("alt", "")
        for child in self.children:
            if isinstance(child, str):
                yield child
            elif child.tag not in _UNSEEN:
                gap = " " if child.tag in BLOCKS or child.tag == "br" else ""
                yield gap
                yield from child._spoken()  # noqa: SLF001  # its own kind
                yield gap


class Page(HTMLParser):
    """A page; `comments` are the conditional ones that Outlook alone reads, each as a page.

    `unended` are the elements that are never closed; `unbegun` are closing tags of which nothing
    was open, each with the element before it.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.root = Element("", {}, None)
        self.comments: list[str] = []
        self.unended: list[Element] = []
        self.unbegun: list[tuple[str, Element]] = []
        self._here = self.root
        self._count = 0
        self._last = self.root
        self.feed(html)
        self.close()
        self._leave(self.root)

    @cached_property
    def elements(self) -> tuple[Element, ...]:
        """Every element, in order."""
        return tuple(self.root.all())

    @cached_property
    def for_outlook(self) -> tuple[Page, ...]:
        """What stands in the conditional comments."""
        return tuple(Page(comment) for comment in self.comments)

    def all(self, *tags: str) -> list[Element]:
        """Every element of these tags."""
        return [one for one in self.elements if one.tag in tags]

    def first(self, tag: str) -> Element | None:
        """The first element of a tag."""
        return next((one for one in self.elements if one.tag == tag), None)

    @cached_property
    def body(self) -> Element:
        """The body, or the whole where none is marked."""
        return self.first("body") or self.root

    @cached_property
    def seen(self) -> tuple[Element, ...]:
        """Every element of the body that is shown in light mode, by inline styles alone."""
        return tuple(_seen(self.body))

    @cached_property
    def links(self) -> tuple[Element, ...]:
        """Every link that is shown."""
        return tuple(one for one in self.seen if one.tag == "a" and "href" in one.attributes)

    @cached_property
    def styles(self) -> tuple[str, ...]:
        """The texts of the style sheets, in order."""
        return tuple("".join(map(str, style.children)) for style in self.all("style"))

    @property
    def sheets(self) -> tuple[StyleSheet, ...]:
        """The style sheets, in order."""
        return tuple(map(sheet, self.styles))

    @cached_property
    def words(self) -> str:
        """What a reader sees, on one line."""
        parts = (child for one in (self.body, *self.seen) for child in one.children)
        return " ".join(" ".join(part for part in parts if isinstance(part, str)).split())

    @property
    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        """Tags and names of attributes, in order."""
        return [(one.tag, tuple(sorted(one.attributes))) for one in self.elements]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Put a new element where it belongs."""
        self._imply(tag)
        element = Element(tag, {key: value or "" for key, value in attrs}, self._here)
        self._count += 1
        element.number = self._count
        self._here.children.append(element)
        self._last = element
        if tag not in VOID:
            self._here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """In HTML the slash of `<br/>` says nothing."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Go back out of the nearest element of this tag; without one, nothing ends."""
        for one in self._here.lineage:
            if one.tag == tag and one.parent is not None:
                self._leave(one)
                self._here = one.parent
                return
            if one.tag in {"td", "th"} and tag not in {"tr", "table", "tbody", "body", "html"}:
                break
        if tag not in {"p", "br"}:
            self.unbegun.append((tag, self._last))

    def handle_data(self, data: str) -> None:
        """Text belongs to the element it stands in."""
        self._here.children.append(data)

    def handle_comment(self, data: str) -> None:
        """Of comments only Outlook's conditional ones say anything."""
        start, _, rest = data.partition(">")
        if start.startswith("[if") and "!mso" not in start:
            self.comments.append(rest.rpartition("<![endif]")[0])

    def _imply(self, tag: str) -> None:
        targets, stops = _CLOSED.get("td" if tag == "th" else tag, (frozenset(), frozenset()))
        if tag in _ENDS_PARAGRAPH:
            self._close(*_IN_PARAGRAPH)
        if targets:
            self._close(targets, stops)

    def _leave(self, outer: Element) -> None:
        """Note what is still open within an element that ends."""
        for one in self._here.lineage:
            if one is outer:
                return
            if one.tag not in _ENDED_BY_OTHERS:
                self.unended.append(one)

    def _close(self, targets: frozenset[str], stops: frozenset[str]) -> None:
        for one in self._here.lineage:
            if one.tag in targets and one.parent is not None:
                self._leave(one)
                self._here = one.parent
                return
            if one.tag in stops:
                return


def _seen(element: Element) -> Iterator[Element]:
    for child in element.children:
        if not isinstance(child, Element) or child.tag in _UNSEEN:
            continue
        if child.style("display") == "none" or child.style("visibility") == "hidden":
            continue
        if "hidden" not in child.attributes:
            yield child
            yield from _seen(child)
