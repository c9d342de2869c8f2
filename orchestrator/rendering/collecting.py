"""Bring catalogues up to date with what templates and code say.

    python -m orchestrator.rendering.collecting templates --locale sv

takes every text from a folder, or from the files and folders named behind it, and writes it into
the catalogues of the folder's `locales`. Translations stay; what is said no more goes. The same
texts give the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.pofile import read_po, write_po

_TEMPLATE: Final = {
    "trimmed": "true",
    "newstyle_gettext": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "silent": "false",
}
_METHODS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    ".py": ("python", {}),
    ".html": ("jinja2.ext:babel_extract", _TEMPLATE),
    ".txt": ("jinja2.ext:babel_extract", _TEMPLATE),
}


def collected(sources: Iterable[Path]) -> Catalog:
    """What files, and those in folders, say: each text once, with the files it stands in."""
    found = Catalog()
    for path in _files(sources):
        method, options = _METHODS[path.suffix]
        told = extract_from_file(method, path, DEFAULT_KEYWORDS, (), options)
        for _, text, _, context in told:
            found.add(text, None, [(path.as_posix(), 0)], context=context)
    return found


def updated(catalogue: str, found: Catalog, locale: str) -> str:
    """The catalogue with exactly the texts that were found; new ones are left to be translated."""
    known = read_po(StringIO(catalogue), locale=locale.replace("-", "_"))
    fresh = Catalog(locale=locale.replace("-", "_"))
    fresh.mime_headers = known.mime_headers
    for message in found:
        if message.id:
            said = known.get(message.id, message.context) or Message(message.id)
            fresh.add(
                *(message.id, said.string or None, message.locations, said.flags),
                user_comments=said.user_comments,
                context=message.context,
            )
    body = BytesIO()
    write_po(body, fresh, width=0, omit_header=True, include_lineno=False)
    return (_head(catalogue) or _new_head(locale)) + body.getvalue().decode()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="its catalogues are in FOLDER/locales")
    parser.add_argument("sources", type=Path, nargs="*", help="where texts stand; else FOLDER")
    parser.add_argument("--locale", help="begin a catalogue of this language, too")
    given = parser.parse_args(arguments)
    found = collected(given.sources or [given.folder])
    locales = given.folder / "locales"
    locales.mkdir(exist_ok=True)
    begun = [locales / f"{given.locale}.po"] if given.locale else []
    for path in sorted({*locales.glob("*.po"), *begun}):
        text = path.read_text("utf-8") if path.exists() else ""
        path.write_text(updated(text, found, path.stem), "utf-8")


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.suffix in _METHODS:
                yield path


def _head(catalogue: str) -> str:
    head, gap, _ = catalogue.partition("\n\n")
    return head + gap if gap and 'msgid ""' in head else ""


def _new_head(locale: str) -> str:
    plural = Catalog(locale=locale.replace("-", "_")).plural_forms
    fields = (
        f"Language: {locale}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        f"Plural-Forms: {plural}",
    )
    lines = "".join(f'"{field}\\n"\n' for field in fields)
    return f'msgid ""\nmsgstr ""\n{lines}\n'


if __name__ == "__main__":
    main()
