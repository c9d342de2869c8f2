"""What can be said against catalogues before anybody reads a translation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from babel.messages.catalog import Message

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.rendering.locales import (
    Catalogues,
    built_in,
    closest,
    forms_of,
    placeholders,
    read,
    tag_of,
)
from orchestrator.rendering.templates import SUFFIXES, own_locales

_RULE: Final = "catalogue"
_SOURCE: Final = "en"
"""The language the components are written in."""
_NAMED: Final = 3
"""Texts that a warning names; the catalogue shows the others."""


def unspoken(
    book: FlowBook, templates: Mapping[str, str], named: frozenset[tuple[Channel, str]], folder: str
) -> Iterator[Finding]:
    """Templates that lack a language in which the brand's own texts in flows.yaml are said."""
    catalogues, default = Catalogues(templates), book.brand.locale
    texts = [book.brand.name, *(topic.title for topic in book.topics.values())]
    spoken = {tag for text in texts for tag in text.by_locale if tag not in closest(default)}
    for channel, name in sorted(named):
        path = f"{channel.value}/{name}{SUFFIXES[channel]}"
        has = own_locales(templates, channel, name)
        source = templates.get(path, "")
        left = sorted(
            tag
            for tag in spoken
            if not any(one in has or catalogues.translates(one, source) for one in closest(tag))
        )
        if source and left:
            tags = ", ".join(left)
            message = f"it is not in {tags}: whoever reads that gets all of it in {default}"
            hint = f"translate its subject in templates/locales/{left[0]}.po"
            yield Finding(Severity.WARNING, _RULE, f"{folder}/{path}", 0, 0, message, hint)


def check_catalogues(
    templates: Mapping[str, str], named: frozenset[tuple[Channel, str]], folder: str
) -> Iterator[Finding]:
    """Catalogues that cannot be read or filled, and what they leave untranslated.

    `named` are the templates that steps send. `folder` is put before the path of a file.
    """
    catalogues = Catalogues(templates)
    broken = []
    for path, text in templates.items():
        if tag_of(path):
            broken += list(_mistakes(path, text, f"{folder}/{path}"))
    yield from broken
    if not broken:
        yield from _half_translated(catalogues, templates, named, folder)
        yield from _wordless(catalogues, templates, named, folder)


def without_broken(templates: Mapping[str, str]) -> dict[str, str]:
    """The files but for catalogues that cannot be read, so that all else can be looked at."""
    return {
        path: text for path, text in templates.items() if not tag_of(path) or _reads(path, text)
    }


def _reads(path: str, text: str) -> bool:
    try:
        read(path, text)
    except RenderFailed:
        return False
    return True


def _mistakes(path: str, text: str, place: str) -> Iterator[Finding]:
    try:
        catalogue = read(path, text)
    except RenderFailed as failure:
        hint = 'write msgid "…" and msgstr "…", see docs/languages.md'
        line = failure.line or 0
        yield Finding(Severity.ERROR, _RULE, place, line, min(line, 1), failure.message, hint)
        return
    for entry in catalogue:
        if entry.id and not entry.fuzzy and any(forms_of(entry.string)):
            for wrong, hint in _misfits(entry, catalogue.num_plurals):
                line = entry.lineno or 0
                yield Finding(Severity.ERROR, _RULE, place, line, min(line, 1), wrong, hint)


def _misfits(entry: Message, plurals: int) -> Iterator[tuple[str, str]]:
    """What keeps a translation from standing where its text stands, and what to do about it."""
    texts, forms = forms_of(entry.id), forms_of(entry.string)
    if entry.pluralizable and not (len(forms) == plurals and all(forms)):
        said = sum(map(bool, forms))
        yield f"{said} plural forms, the language has {plurals}", "translate each msgstr[…]"
        return
    known = frozenset[str]().union(*map(placeholders, texts))
    needed = placeholders(texts[0]) if len(texts) == 1 else frozenset()
    for form in dict.fromkeys(forms):
        asked = placeholders(form)
        for name in sorted(asked - known):
            near = ", ".join(f"%({one})s" for one in sorted(known)) or "none"
            yield f"%({name})s is no value of this text", f"there is {near}"
        for name in sorted(needed - asked):
            yield f"the translation has lost %({name})s", "put it where the value belongs"


def _half_translated(
    catalogues: Catalogues,
    templates: Mapping[str, str],
    named: frozenset[tuple[Channel, str]],
    folder: str,
) -> Iterator[Finding]:
    """Templates whose subject is translated, but not all that they say."""
    for channel, name in sorted(named):
        file = f"{name}{SUFFIXES[channel]}"
        source = templates.get(f"{channel.value}/{file}", "")
        for tag in catalogues.tags:
            missing = catalogues.missing(tag, source) if catalogues.translates(tag, source) else []
            if missing:
                message = f"{file} is sent in {tag!r}, but not all of it is translated: "
                yield _left_over(catalogues, tag, message, [said for _, said in missing], folder)


def _wordless(
    catalogues: Catalogues,
    templates: Mapping[str, str],
    named: frozenset[tuple[Channel, str]],
    folder: str,
) -> Iterator[Finding]:
    """Languages that mails are sent in, and that the components do not speak."""
    spoken = {
        tag
        for channel, name in named
        if channel is Channel.EMAIL
        for tag in (*own_locales(templates, channel, name), *catalogues.tags)
        if tag not in catalogues.tags
        or catalogues.translates(tag, templates.get(f"{channel.value}/{name}.html", ""))
    }
    words = Catalogues(built_in())
    every = sorted({text for tag in words.tags for text in words.known(tag)}, key=str)
    for tag in sorted(tag for tag in spoken if tag.partition("-")[0] != _SOURCE):
        known = catalogues.known(tag)
        if left := [one for one in every if one not in known]:
            message = f"mails are sent in {tag!r}, but the components' words are not translated: "
            texts = [forms_of(one)[0] for one in left]
            yield _left_over(catalogues, tag, message, texts, folder)


def _left_over(
    catalogues: Catalogues, tag: str, message: str, texts: list[str], folder: str
) -> Finding:
    files = [path for path, _ in catalogues.files(tag) if path not in built_in()]
    place = f"{folder}/{files[0] if files else f'locales/{tag}.po'}"
    shown = ", ".join(f'"{text}"' for text in texts[:_NAMED])
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    hint = "translate it there; what is missing is said as the template is written"
    return Finding(Severity.WARNING, _RULE, place, 0, 0, f"{message}{shown}{more}", hint)
