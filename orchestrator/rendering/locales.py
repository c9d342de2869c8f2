"""Catalogues: what a text says in other languages, and which templates speak which.

A catalogue is a gettext file among a version's sources, `locales/fi.po` or, as gettext itself
lays them out, `locales/fi/LC_MESSAGES/messages.po`. Those of the components come with the
product (`locales/fi/components.po`); what the shop says itself goes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO, StringIO
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from jinja2 import BaseLoader, Environment, TemplateSyntaxError, nodes

from orchestrator.domain.errors import RenderFailed

FOLDER: Final = "locales/"
COMPONENTS: Final = "components.po"
"""The file of a language that holds the components' words."""
_CALLS: Final = frozenset({"_", "gettext", "ngettext", "pgettext", "npgettext"})
_IN_CONTEXT: Final = frozenset({"pgettext", "npgettext"})
_FILLED: Final = re.compile(r"%(?:\((\w+)\)s|%)")

Message = str | tuple[str, ...]
"""A text as a catalogue is asked for it; with a plural, both forms."""


def built_in() -> dict[str, str]:
    """The words of the product's components, by path."""
    folder = files("orchestrator.rendering") / "components" / "locales"
    return {
        f"{FOLDER}{file.name.removesuffix('.po')}/{COMPONENTS}": file.read_text("utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".po")
    }


def closest(locale: str) -> Iterator[str]:
    """The tag itself, then ever wider ones: `pt-BR`, `pt`."""
    language, *more = locale.replace("_", "-").split("-")
    parts = [language.lower(), *(_cased(part) for part in more if part)]
    while parts[0]:
        yield "-".join(parts)
        if len(parts) == 1:
            return
        parts.pop()


def tag_of(path: str) -> str | None:
    """The language of a catalogue, by its place among the sources; None for any other file."""
    if not path.startswith(FOLDER) or not path.endswith(".po"):
        return None
    tag = path.removeprefix(FOLDER).removesuffix(".po").partition("/")[0]
    return next(closest(tag), None)


class Catalogues:
    """All catalogues of a version's sources."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._files: dict[str, list[tuple[str, str]]] = {}
        self._translated: dict[tuple[str, str], bool] = {}
        for path in sorted(sources):
            if tag := tag_of(path):
                self._files.setdefault(tag, []).append((path, sources[path]))
        for found in self._files.values():
            found.sort(key=lambda file: file[0].endswith(f"/{COMPONENTS}"))

    @property
    def tags(self) -> tuple[str, ...]:
        """Languages that have a catalogue."""
        return tuple(self._files)

    def files(self, tag: str) -> list[tuple[str, str]]:
        """Path and text of a language's catalogues, in the order in which they are asked."""
        return self._files.get(tag, [])

    def spoken(self, locale: str) -> NullTranslations:
        """What texts say in a locale; what no catalogue knows stays as it is written.

        Raises:
            RenderFailed: a catalogue cannot be read.
        """
        chain = [_compiled(*file) for tag in closest(locale) for file in self.files(tag)]
        spoken = NullTranslations()
        for translations in reversed(chain):
            spoken = _over(translations, spoken)
        return spoken

    def translates(self, locale: str, source: str) -> bool:
        """Whether the language has a catalogue that knows what makes a template exist in it.

        For a mail that is its subject. A text message, which has none, begins with it.
        """
        if not self.files(locale):
            return False
        if (locale, source) not in self._translated:
            found, known = decisive(source), self.known(locale)
            self._translated[locale, source] = bool(found) and known.issuperset(found)
        return self._translated[locale, source]

    def missing(self, locale: str, source: str) -> list[tuple[int, str]]:
        """Line and text of all that a template says and no catalogue of the locale knows."""
        known = self.known(locale)
        return [(line, _first(said)) for line, said, _ in spoken_in(source) if said not in known]

    def known(self, locale: str) -> set[Message]:
        """All that the catalogues of a locale translate."""
        files = (file for tag in closest(locale) for file in self.files(tag))
        return {said for file in files for said in _known(*file)}


def filled(text: str, values: Mapping[str, object]) -> str:
    """A translation with its `%(name)s`. Raises KeyError for one that is not given."""
    return _FILLED.sub(lambda found: str(values[found[1]]) if found[1] else "%", text)


def pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """A translation as words, each with the name of the value that stands behind them."""
    done = 0
    words = ""
    for found in _FILLED.finditer(text):
        words += text[done : found.start()]
        done = found.end()
        if found[1]:
            yield words, found[1]
            words = ""
        else:
            words += "%"
    yield words + text[done:], None


def placeholders(text: str) -> frozenset[str]:
    """The names of the values that a text asks for."""
    return frozenset(name for _, name in pieces(text) if name)


def decisive(source: str) -> tuple[Message, ...]:
    """The texts by which a template exists in a language: its subject, else its first."""
    found = spoken_in(source)
    if "{% block subject %}" in source or any(subject for _, _, subject in found):
        return tuple(said for _, said, subject in found if subject)
    return tuple(said for _, said, _ in found[:1])


@lru_cache(maxsize=1024)
def spoken_in(source: str) -> tuple[tuple[int, Message, bool], ...]:
    """Line and text of all that a template says through a catalogue, and whether as its subject.

    Of a template that cannot be parsed nothing is known; compiling tells why.
    """
    try:
        tree = _PARSER.parse(source)
    except TemplateSyntaxError:
        return ()
    blocks = (block for block in tree.find_all(nodes.Block) if block.name == "subject")
    subject = {id(call) for block in blocks for call in block.find_all(nodes.Call)}
    found = []
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in _CALLS:
            texts = [one.value for one in call.args if isinstance(one, nodes.Const)]
            texts = texts[1:] if call.node.name in _IN_CONTEXT else texts
            plural = call.node.name in {"ngettext", "npgettext"}
            if texts:
                said = tuple(texts[:2]) if plural else texts[0]
                found.append((call.lineno, said, id(call) in subject))
    return tuple(found)


_ENTRY_LINE: Final = re.compile(
    r'\s*(?:#.*|(?:(?:msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s*)?"(?:[^"\\]|\\.)*"\s*)?'
)


@lru_cache(maxsize=256)
def read(path: str, text: str) -> Catalog:
    """A catalogue. Raises RenderFailed with the line where it is broken.

    Babel takes the first and the last character of a text for its quotes, whatever they are.
    """
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not _ENTRY_LINE.fullmatch(line):
            message = f"{line.strip()[:60]!r} is no line of a catalogue"
            raise RenderFailed(path, number, message)
    try:
        locale = (tag_of(path) or "").replace("-", "_") or None
        return read_po(StringIO(text), locale=locale, abort_invalid=True)
    except PoFileError as error:
        raise RenderFailed(path, error.lineno, str(error)) from error
    except (ValueError, SyntaxError) as error:
        raise RenderFailed(path, None, f"it cannot be read as a catalogue: {error}") from error


@lru_cache(maxsize=256)
def _known(path: str, text: str) -> frozenset[Message]:
    return frozenset(
        entry.id if isinstance(entry.id, str) else tuple(entry.id)
        for entry in read(path, text)
        if entry.id and not entry.fuzzy and all(forms_of(entry.string))
    )


@lru_cache(maxsize=256)
def _machine(path: str, text: str) -> bytes:
    compiled = BytesIO()
    write_mo(compiled, read(path, text))
    return compiled.getvalue()


def _compiled(path: str, text: str) -> GNUTranslations:
    return GNUTranslations(BytesIO(_machine(path, text)))


def _over(translations: GNUTranslations, below: NullTranslations) -> NullTranslations:
    translations.add_fallback(below)
    return translations


def forms_of(string: object) -> tuple[str, ...]:
    """A text or translation as a catalogue keeps it: one, or one for each plural form."""
    return (string,) if isinstance(string, str) else tuple(string)  # type: ignore[arg-type]


def _first(message: Message) -> str:
    return message if isinstance(message, str) else message[0]


def _cased(part: str) -> str:
    """As BCP 47 writes a script (`Latn`) and a region (`BR`)."""
    if len(part) == 4 and part.isalpha():  # noqa: PLR2004  # letters of a script
        return part.title()
    return part.upper() if len(part) <= 3 else part.lower()  # noqa: PLR2004  # of a region


def parser() -> Environment:
    """What templates are read with to find what they say; it renders nothing."""
    found = Environment(  # noqa: S701  # nothing is rendered
        loader=BaseLoader(), extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True
    )
    found.policies["ext.i18n.trimmed"] = True
    found.newstyle_gettext = True  # type: ignore[attr-defined]
    return found


_PARSER: Final = parser()
