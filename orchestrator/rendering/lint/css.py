"""Style sheets as far as mails use them: rules, media blocks, simple selectors (CSS Syntax 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

_COMMENT = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_PIECE = re.compile(r"\"[^\"]*\"|'[^']*'|[^{};\"']+|[{};]")
_SPLIT_DECLARATIONS = re.compile(r"((?:\([^)]*\)|\"[^\"]*\"|'[^']*'|[^;(])+)")
_COMPOUND = re.compile(
    r"(?P<tag>[a-z][a-z0-9-]*|\*)?(?P<rest>(?:[.#][\w-]+|\[[^\]]*\]|::?[\w-]+(?:\([^)]*\))?)*)",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[.#][\w-]+|\[[^\]]*\]|::?[\w-]+(?:\([^)]*\))?")
_DARK = re.compile(r"prefers-color-scheme\s*:\s*dark", re.IGNORECASE)


class Declaration(NamedTuple):
    """A property and its value."""

    name: str
    value: str
    important: bool


@dataclass(frozen=True, slots=True)
class Compound:
    """One part of a selector: what an element has to be, to have and to be in."""

    tag: str | None
    classes: frozenset[str]
    identifier: str | None
    attributes: tuple[str, ...]
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CssRule:
    """A selector with its declarations; `media` are the queries around it, from the outside in."""

    selector: str
    path: tuple[Compound, ...]
    """The compounds of the selector; the last one is the element itself."""
    declarations: tuple[Declaration, ...]
    media: tuple[str, ...]
    dark: bool
    """Whether it is for dark mode."""
    outlook: bool
    """Whether it is for what Outlook has recoloured: below `[data-ogsc]` or `[data-ogsb]`."""


@dataclass(frozen=True, slots=True)
class StyleSheet:
    """The rules of one `<style>`, and its further at-rules (`@import`, `@font-face`)."""

    rules: tuple[CssRule, ...]
    others: tuple[str, ...]


@lru_cache(maxsize=256)
def sheet(text: str) -> StyleSheet:
    """A style sheet; what is not understood is left out, as browsers do."""
    rules: list[CssRule] = []
    others: list[str] = []
    pieces = iter(_PIECE.findall(_COMMENT.sub(" ", text)))
    _block(pieces, (), rules, others)
    return StyleSheet(tuple(rules), tuple(others))


@lru_cache(maxsize=4096)
def declarations(text: str) -> tuple[Declaration, ...]:
    """The declarations of a rule or of a `style` attribute, in order."""
    return tuple(_declarations(text))


def _block(
    pieces: Iterator[str], media: tuple[str, ...], rules: list[CssRule], others: list[str]
) -> None:
    prelude = ""
    for piece in pieces:
        if piece == "{":
            head, prelude = " ".join(prelude.split()), ""
            if head.lower().startswith(("@media", "@supports")):
                _block(pieces, (*media, head), rules, others)
            else:
                body = _body(pieces)
                if head.startswith("@"):
                    others.append(f"{head} {body}")
                else:
                    rules += _rules(head, body, media)
        elif piece == ";":
            others += [prelude.strip()] if prelude.strip() else []
            prelude = ""
        elif piece == "}":
            return
        else:
            prelude += piece


def _body(pieces: Iterator[str]) -> str:
    depth, body = 1, ""
    for piece in pieces:
        depth += (piece == "{") - (piece == "}")
        if not depth:
            break
        body += piece
    return body


def _rules(head: str, body: str, media: tuple[str, ...]) -> Iterator[CssRule]:
    said = declarations(body)
    dark = any(_DARK.search(query) for query in media)
    for selector in head.split(","):
        if path := _path(selector.strip()):
            outlook = any(one.startswith("data-ogs") for part in path for one in part.attributes)
            yield CssRule(selector.strip(), path, said, media, dark, outlook)


def _path(selector: str) -> tuple[Compound, ...]:
    parts: list[Compound] = []
    for word in re.sub(r"\s*>\s*", " ", selector).split():
        found = _COMPOUND.fullmatch(word)
        if found is None or not word:
            return ()
        rest = _PARTS.findall(found["rest"] or "")
        names = [part[1:] for part in rest if part[0] == "#"]
        parts.append(
            Compound(
                tag=(found["tag"] or "*").lower().replace("*", "") or None,
                classes=frozenset(part[1:] for part in rest if part[0] == "."),
                identifier=names[0] if names else None,
                attributes=tuple(
                    part[1:-1].partition("=")[0].strip("~|^$*").lower()
                    for part in rest
                    if part[0] == "["
                ),
                states=tuple(part for part in rest if part[0] == ":"),
            )
        )
    return tuple(parts)


def _declarations(text: str) -> Iterator[Declaration]:
    for part in _SPLIT_DECLARATIONS.findall(text):
        name, colon, value = part.partition(":")
        if not colon:
            continue
        plain, bang, word = value.rpartition("!")
        important = bool(bang) and word.strip().lower() == "important"
        yield Declaration(name.strip().lower(), (plain if important else value).strip(), important)


SIDES: Final = ("top", "right", "bottom", "left")


@lru_cache(maxsize=1024)
def sides(value: str) -> tuple[float, float, float, float]:
    """Pixels of `padding` or `margin`: top, right, bottom, left."""
    lengths = [pixels(part) or 0.0 for part in value.split()][:4]
    if not lengths:
        return 0.0, 0.0, 0.0, 0.0
    top = lengths[0]
    right = lengths[1] if len(lengths) > 1 else top
    bottom = lengths[2] if len(lengths) > 2 else top  # noqa: PLR2004  # the third is the bottom
    left = lengths[3] if len(lengths) > 3 else right  # noqa: PLR2004  # and the fourth the left
    return top, right, bottom, left


@lru_cache(maxsize=1024)
def pixels(value: str, of: float = 16.0) -> float | None:
    """A length in CSS pixels; `of` is what `em` and `%` refer to; None for what is no length."""
    found = re.fullmatch(r"(-?[\d.]+)(px|pt|em|rem|%|)", value.strip().lower())
    if found is None:
        return None
    try:
        number = float(found[1])
    except ValueError:
        return None
    scale = {"px": 1.0, "pt": 4 / 3, "em": of, "rem": 16.0, "%": of / 100, "": 1.0}
    return number * scale[found[2]]
