"""Styles written once as classes, inlined into templates, and turned dark by the same table.

Mail clients drop style sheets, so each class becomes an inline style in the template's source,
before it is compiled: nothing is left to do per message and no HTML parser ever sees a template
tag. Plain HTML (`<p>`, `<a>`) gets the class that the sheet names for its tag. Clients that know
dark mode get the same rules with the dark colours: by media query, and for Outlook by its
`data-ogsc` (foreground) and `data-ogsb` (background) attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.rendering.theme import Token

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_SELECTOR = re.compile(r"([a-z][a-z0-9]*)?\.([a-z][a-z0-9-]*)")
_VARIABLE = re.compile(r"var\(--([a-z-]+)\)")
_TAG = re.compile(r'<([a-z][a-z0-9]*)((?:\s+[a-zA-Z:-]+(?:="[^"]*")?)*)\s*(/?)>')
_ATTRIBUTE = re.compile(r'\s+([a-zA-Z:-]+)(="[^"]*")?')

_GAP: Final = "\x00"
"""Where an expression stands between two pieces of a template's own text."""
_LONG: Final = 80
"""Characters of a style that begins a line."""
_BACKGROUNDS: Final = frozenset({"background-color"})


@dataclass(frozen=True, slots=True)
class _Rule:
    tag: str | None
    name: str
    declarations: Mapping[str, str]


class Sheet:
    """A style sheet of simple rules: `.name` or `tag.name`, one level, no combinators."""

    def __init__(self, css: str, tokens: Mapping[str, Token], *, rtl: bool) -> None:
        sides = {"start": "right", "end": "left"} if rtl else {"start": "left", "end": "right"}
        self._light = {**sides, **{name: token.light for name, token in tokens.items()}}
        self._dark = {**sides, **{name: token.dark for name, token in tokens.items()}}
        for name in _VARIABLE.findall(_COMMENT.sub("", css)):
            if name not in self._light:
                known = ", ".join(sorted(self._light))
                message = f"there is no var(--{name}); there are {known}"
                raise ValueError(message)
        self._rules = tuple(_rules(css))
        self._by_name = {rule.name: rule for rule in self._rules}
        self._by_tag = {rule.tag: rule.name for rule in self._rules if rule.tag}

    @property
    def constants(self) -> dict[str, str]:
        """What a template may bake in: `theme.start`, `theme.accent`, ..."""
        return {name.replace("-", "_"): value for name, value in self._light.items()}

    def inlined(self, source: str) -> str:
        """The template's source with the styles of its classes in place."""
        return _TAG.sub(self._styled, source)

    def settled(self, pieces: Sequence[str]) -> list[str]:
        """The same for a template's own text between its expressions, in order."""
        if not pieces:
            return []
        return self.inlined(_GAP.join(piece.replace(_GAP, "") for piece in pieces)).split(_GAP)

    def resolved(self, css: str) -> str:
        """Further CSS with its variables replaced by the light values."""
        return _VARIABLE.sub(lambda match: self._light[match[1]], _COMMENT.sub("", css)).strip()

    def dark(self) -> str:
        """Every rule that names a colour once more, in its dark colour, one line per colour."""
        rules = self._darkened()
        media = "\n".join(f"{_among(names)}{{{text}}}" for text, names in rules.items())
        twins = (f"{_among(names, _twin(text))}{{{text}}}" for text, names in rules.items())
        return "\n".join((f"@media (prefers-color-scheme:dark){{{media}}}", *twins))

    def _darkened(self) -> dict[str, list[str]]:
        """Each dark declaration, with the classes that need it."""
        rules: dict[str, list[str]] = {}
        for rule in self._rules:
            for key, value in rule.declarations.items():
                dark = _VARIABLE.sub(lambda match: self._dark[match[1]], value)
                if dark != self.resolved(value):
                    text = f"{self.resolved(key)}:{dark} !important"
                    rules.setdefault(text, []).append(rule.name)
        return rules

    def _styled(self, match: re.Match[str]) -> str:
        tag, written, closing = match.groups()
        attributes = dict(_ATTRIBUTE.findall(written))
        names = attributes.get("class", "").strip('="').split()
        if not names and tag in self._by_tag:
            names = [self._by_tag[tag]]
            attributes["class"] = f'="{names[0]}"'
        declarations: dict[str, str] = {}
        for name in names:
            if name in self._by_name:
                declarations.update(self._by_name[name].declarations)
        if not declarations:
            return match[0]
        style = ";".join(
            f"{self.resolved(key)}:{self.resolved(value)}" for key, value in declarations.items()
        )
        if own := attributes.pop("style", "").strip('="'):
            style += f";{own}"
        rest = "".join(f" {key}{value}" for key, value in attributes.items())
        # Long ones begin a line, so that none is too long for the wire (RFC 5322 section 2.1.1).
        gap = "\n" if len(style) > _LONG else " "
        return f'<{tag}{rest}{gap}style="{style}"{closing}>'


def _among(names: list[str], where: str = "") -> str:
    return ",".join(f"{where}.{name}" for name in names)


def _twin(declaration: str) -> str:
    """The attribute that Outlook sets where it has changed a colour of this kind."""
    key, _, _ = declaration.partition(":")
    return "[data-ogsb] " if key in _BACKGROUNDS else "[data-ogsc] "


def _rules(css: str) -> Iterator[_Rule]:
    for selectors, body in _RULE.findall(_COMMENT.sub("", css)):
        pairs = (line.partition(":") for line in body.split(";") if line.strip())
        declarations = {key.strip(): value.strip() for key, _, value in pairs}
        for selector in selectors.split(","):
            parts = _SELECTOR.fullmatch(selector.strip())
            if parts is None:
                message = f"a mail style is `.name` or `tag.name`, not {selector.strip()!r}"
                raise ValueError(message)
            yield _Rule(parts[1], parts[2], declarations)
