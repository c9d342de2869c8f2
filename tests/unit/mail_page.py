"""A mail's HTML as a tree, with the colours and sizes a client would use for each piece of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "img", "br", "hr"})
INHERITED = ("color", "font-size", "line-height", "font-weight", "text-align", "direction")
CANVAS = {"light": ("#000000", "#ffffff"), "dark": ("#ffffff", "#121212")}
"""Text and background of a client's own page."""

Rules = Mapping[str, Mapping[str, str]]
"""What further sheets say, by class."""


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element | str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def style(self) -> dict[str, str]:
        pairs = (part.partition(":") for part in self.attributes.get("style", "").split(";"))
        return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}

    @property
    def lineage(self) -> Iterator[Element]:
        """The element and those around it, from within outwards."""
        here: Element | None = self
        while here is not None:
            yield here
            here = here.parent

    def all(self, *tags: str) -> list[Element]:
        found: list[Element] = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child] if not tags or child.tag in tags else []
                found += child.all(*tags)
        return found

    @property
    def words(self) -> str:
        """What is read out: text, and the alternative texts of pictures."""
        parts = [
            child if isinstance(child, str) else child.attributes.get("alt", "") + child.words
            for child in self.children
        ]
        return " ".join("".join(parts).split())

    @property
    def group(self) -> str:
        """The label of the group it belongs to; none is empty."""
        groups = (one for one in self.lineage if one.attributes.get("role") == "group")
        return next((one.attributes["aria-label"] for one in groups), "")

    @property
    def hidden(self) -> bool:
        return any(one.style.get("display") == "none" for one in self.lineage)

    def own(self, name: str, rules: Rules | None = None) -> str | None:
        """A property of the element itself; a rule of a class is stronger than its style."""
        for one in reversed(self.classes):
            if rules and name in rules.get(one, {}):
                return rules[one][name]
        return self.style.get(name)

    def computed(self, name: str, rules: Rules | None = None) -> str | None:
        for one in self.lineage:
            if value := one.own(name, rules):
                return value
        return None

    def pixels(self, name: str) -> float:
        return float((self.computed(name) or "0").removesuffix("px"))


class Page(HTMLParser):
    """A page; `comments` are those that Outlook alone reads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.source = html
        self.comments: list[str] = []
        self.root = Element("", {}, None)
        self._here = self.root
        self.feed(html)
        assert self._here is self.root, f"<{self._here.tag}> is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs}, self._here)
        self._here.children.append(element)
        if tag not in VOID:
            self._here = element

    def handle_endtag(self, tag: str) -> None:
        assert self._here.tag == tag, f"</{tag}> closes <{self._here.tag}>"
        assert self._here.parent is not None
        self._here = self._here.parent

    def handle_data(self, data: str) -> None:
        self._here.children.append(data)

    def handle_comment(self, data: str) -> None:
        if data.startswith("[if mso]>"):
            self.comments.append(data)

    def all(self, *tags: str) -> list[Element]:
        return self.root.all(*tags)

    @property
    def body(self) -> Element:
        (body,) = self.all("body")
        return body

    @property
    def texts(self) -> list[Element]:
        """Every visible element with words of its own."""
        return [
            element
            for element in self.body.all()
            if not element.hidden
            and any(isinstance(child, str) and child.strip() for child in element.children)
        ]

    @property
    def links(self) -> list[Element]:
        return [link for link in self.body.all("a") if not link.hidden]

    @property
    def skeleton(self) -> list[tuple[str, list[str]]]:
        return [(element.tag, sorted(element.attributes)) for element in self.all()]

    @property
    def sheets(self) -> list[str]:
        return ["".join(map(str, style.children)) for style in self.all("style")]

    def dark(self) -> Rules:
        """What the dark sheet says, by class."""
        (block,) = re.findall(
            r"@media \(prefers-color-scheme:dark\)\{((?:[^{}]*\{[^}]*\})*)\}", self.sheets[1]
        )
        return _by_class(block, "")

    def outlook(self) -> Rules:
        """What the rules for Outlook's two attributes say, by class."""
        twins: dict[str, dict[str, str]] = {}
        for mark in ("[data-ogsc] ", "[data-ogsb] "):
            lines = [line for line in self.sheets[1].splitlines() if line.startswith(mark)]
            for name, said in _by_class("".join(lines), mark).items():
                twins.setdefault(name, {}).update(said)
        return twins


def colours(element: Element, mode: str, rules: Rules | None = None) -> tuple[str, str]:
    """Text and background colour of an element."""
    text, canvas = CANVAS[mode]
    return (
        element.computed("color", rules) or text,
        element.computed("background-color", rules) or canvas,
    )


def _by_class(css: str, mark: str) -> dict[str, dict[str, str]]:
    rules: dict[str, dict[str, str]] = {}
    for selectors, body in re.findall(r"([^{}\n]+)\{([^}]*)\}", css):
        key, _, value = body.partition(":")
        assert value.endswith(" !important"), body
        for selector in selectors.split(","):
            assert selector.startswith(f"{mark}."), selector
            name = selector.removeprefix(f"{mark}.")
            rules.setdefault(name, {})[key] = value.removesuffix(" !important")
    return rules
