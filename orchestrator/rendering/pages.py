"""Our own pages for browsers: the one place where their templates are rendered."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.rendering import formats, locales
from orchestrator.rendering.locales import Catalogues, closest, filled
from orchestrator.rendering.theme import direction, tokens_for

_WRITTEN_IN: Final = "en"
STYLE: Final = ("style.css",)
"""The sheet of every page; some bring further ones."""


@dataclass(frozen=True, slots=True)
class Language:
    """What a page's code says its sentences with, as `_("Save")`."""

    locale: str
    spoken: NullTranslations

    def __call__(self, text: str, **values: str) -> str:
        return filled(self.spoken.gettext(text), values)

    def listed(self, words: Sequence[str], *, either: bool = False) -> str:
        """Several things as one, with `and` or `or` before the last."""
        return formats.listed(words, self.locale, either=either)


class PageEnvironment:
    """Templates of a folder, escaped throughout, with their style sheets inside each page.

    What they say in other languages than English stands in the folder's `locales`. Colours of a
    sheet are `var(--name)` of the brand's tokens. Templates are the project's own: unlike a
    message's they need no sandbox.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._catalogues = Catalogues(
            {
                f"{locales.FOLDER}{path.name}": path.read_text("utf-8")
                for path in (folder / "locales").glob("*.po")
            }
        )
        self._languages: dict[str, tuple[Language, Environment]] = {}
        self._styles: dict[tuple[str | None, tuple[str, ...]], str] = {}

    def language(self, *wanted: str | None) -> Language:
        """The first of the locales that pages are written in, whatever its region; or English."""
        known = {_WRITTEN_IN, *self._catalogues.tags}
        tags = (tag for locale in wanted if locale for tag in closest(locale))
        return self._spoken(next((tag for tag in tags if tag in known), _WRITTEN_IN))[0]

    def render(
        self,
        template: str,
        *,
        locale: str,
        accent: str | None,
        values: Mapping[str, Any],
        sheets: tuple[str, ...] = STYLE,
    ) -> tuple[str, str]:
        """The page, and its style as a source for a Content-Security-Policy."""
        style = self._style(accent, sheets)
        html = (
            self._spoken(locale)[1]
            .get_template(template)
            .render(
                values,
                lang=locale,
                dir=direction(locale),
                style=Markup(style),  # noqa: S704  # ours
            )
        )
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        return html, f"'sha256-{digest}'"

    def _spoken(self, locale: str) -> tuple[Language, Environment]:
        if locale not in self._languages:
            language = Language(locale, self._catalogues.spoken(locale))
            self._languages[locale] = language, self._environment(language)
        return self._languages[locale]

    def _environment(self, language: Language) -> Environment:
        jinja = Environment(
            loader=FileSystemLoader(self._folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        jinja.policies["ext.i18n.trimmed"] = True
        jinja.install_gettext_translations(language.spoken, newstyle=True)  # type: ignore[attr-defined]
        return jinja

    def _style(self, accent: str | None, sheets: tuple[str, ...]) -> str:
        if (accent, sheets) not in self._styles:
            tokens = tokens_for(accent)
            light = _declarations({name: token.light for name, token in tokens.items()})
            dark = _declarations({name: token.dark for name, token in tokens.items()})
            self._styles[accent, sheets] = (
                f":root{{{light}}}\n@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
                + "\n".join((self._folder / name).read_text("utf-8") for name in sheets)
            )
        return self._styles[accent, sheets]


def _declarations(colours: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())
