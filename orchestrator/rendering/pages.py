"""Our own pages for browsers: the one place where their templates are rendered."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.rendering.theme import direction, tokens_for

STYLE: Final = ("style.css",)
"""The sheet of every page; some bring further ones."""


class PageEnvironment:
    """Templates of a folder, escaped throughout, with their style sheets inside each page.

    Colours of a sheet are `var(--name)` of the brand's tokens. Templates are the project's own:
    unlike a message's they need no sandbox.
    """

    def __init__(self, folder: Path) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._folder = folder
        self._styles: dict[tuple[str | None, tuple[str, ...]], str] = {}

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
        html = self._jinja.get_template(template).render(
            values,
            lang=locale,
            dir=direction(locale),
            style=Markup(style),  # noqa: S704  # ours
        )
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        return html, f"'sha256-{digest}'"

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
