"""A mail's subject, preheader, HTML and plain part, all from one template.

The template is compiled in two dialects. `button(...)` is a table with inline styles in one and
a line with an address in the other, because each dialect has its own components and its own
shell; the template itself is the same. The plain part's dialect also yields subject and
preheader, so that a message takes two passes. Same input, same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from gettext import NullTranslations
from typing import Any, Final

from jinja2 import Template
from markupsafe import Markup

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.flows import AttributeType, Brand, Channel, Topic
from orchestrator.rendering import plain
from orchestrator.rendering.context import TEXT_NAMES, RenderContext, Vocabulary, filters
from orchestrator.rendering.environment import MessageEnvironment
from orchestrator.rendering.locales import Catalogues
from orchestrator.rendering.styles import Sheet
from orchestrator.rendering.templates import SUFFIXES, localised, of_channel
from orchestrator.rendering.theme import direction, tokens_for

MAX_SUBJECT: Final = 150
UNEXTENDED: Final = 'a mail template begins with {% extends "shell.html" %}'
_PARTS: Final = 4  # of shell.txt: subject, preheader, text, footer
_FILLER: Final = (Markup("&#847;&zwnj;&nbsp;") * 20 + "\n") * 3
"""Keeps the first words of the body out of a client's list, after the preheader."""

_LAYOUT: Final = frozenset({"shell", "components"})


@dataclass(frozen=True, slots=True)
class RenderedEmail:
    """A mail before it has headers; `locale` is the language it is in."""

    subject: str
    preheader: str
    html: str
    text: str
    locale: str


class _Language:
    """Both dialects of all templates in one language, with everything constant baked in."""

    def __init__(
        self,
        sources: Mapping[str, str],
        brand: Brand,
        vocabulary: Vocabulary,
        locale: str,
        spoken: NullTranslations,
    ) -> None:
        self.locale = locale
        self._vocabulary = vocabulary
        self._used: dict[str, frozenset[str] | None] = {}
        self._compiled: dict[str, tuple[Template, Template]] = {}
        shop = vocabulary.brand_in(locale)
        names = {"brand": shop, "locale": locale, "filler": _FILLER}
        side = direction(locale)
        sheet = Sheet(sources["mail.css"], tokens_for(brand.theme.get("accent")), rtl=side == "rtl")
        theme = {
            **sheet.constants,
            "dir": side,
            "head": Markup(sheet.resolved(sources["head.css"])),  # noqa: S704  # a style sheet
            "dark": Markup(sheet.dark()),  # noqa: S704  # a style sheet
        }
        own = filters(brand, locale)
        pages = {name: text for name, text in sources.items() if name.endswith(".html")}
        self._html = MessageEnvironment(
            pages,
            escaping=True,
            names={**names, "part": "html"},
            filters=own,
            baked={"theme": theme},
            settled=sheet.settled,
            spoken=spoken,
        )
        twins = {f"{name}.html": sources[f"{name}.txt"] for name in _LAYOUT}
        self._text = MessageEnvironment(
            {**pages, **twins},
            escaping=True,
            names={**names, "part": "text"},
            filters=own,
            baked={"theme": theme},
            settled=plain.settled,
            spoken=spoken,
        )
        for environment in (self._html, self._text):
            environment.use("components.html")

    def template(self, name: str) -> tuple[Template, Template]:
        if name not in self._compiled:
            self._compiled[name] = self._html.compiled(name), self._text.compiled(name)
        return self._compiled[name]

    def used(self, name: str) -> frozenset[str] | None:
        """The names either dialect of a template may ask for; None where that is not known."""
        if name not in self._used:
            html, text = self._html.mentioned(name), self._text.mentioned(name)
            self._used[name] = None if html is None or text is None else html | text
        return self._used[name]

    def unknown_names(self, name: str, known: Sequence[str]) -> list[RenderFailed]:
        names = (*known, *TEXT_NAMES, "subject", "preheader")
        unknown = self._html.unknown_names(name, names, self._vocabulary.shapes)
        page, text = self._html.blocks_around(name), self._text.blocks_around(name)
        if page is None or text is None:
            return unknown
        return [*unknown, *self._html.lost(name, page | text)]

    def render(self, name: str, facts: Mapping[str, Any], subject: str | None) -> RenderedEmail:
        page, text = self.template(name)
        parts = self._text.rendered(text, facts).split("<!--part-->")
        if len(parts) != _PARTS:
            raise RenderFailed(name, 1, UNEXTENDED)
        line = plain.to_line(subject or parts[0])[:MAX_SUBJECT].rstrip()
        if not line:
            raise RenderFailed(name, None, "the subject is empty; fill the block `subject`")
        preheader = plain.to_line(parts[1])
        html = self._html.rendered(page, {**facts, "subject": line, "preheader": preheader})
        return RenderedEmail(line, preheader, html, _body(parts[2], parts[3]), self.locale)


class EmailRenderer:
    """The mails of one version: its templates, brand and topics.

    `templates` are the sources by path (`email/cart/reminder.html`), see `templates.load_folder`.
    """

    def __init__(
        self,
        templates: Mapping[str, str],
        brand: Brand,
        topics: Mapping[str, Topic] | None = None,
        attributes: Mapping[str, AttributeType] | None = None,
    ) -> None:
        self._sources = of_channel(templates, Channel.EMAIL)
        self._brand = brand
        self._catalogues = Catalogues(templates)
        self._vocabulary = Vocabulary(brand, topics, attributes, self._catalogues)
        self._languages: dict[str, _Language] = {}

    def render(self, template: str, context: RenderContext) -> RenderedEmail:
        """The mail for a template named `<group>/<name>`.

        Raises:
            RenderFailed: there is no such template, or it and the facts do not fit together.
        """
        language, name = self._language(template, context.locale)
        facts = self._vocabulary.facts(context, language.locale, language.used(name))
        subject = context.subject.in_locale(language.locale) if context.subject else None
        return language.render(name, facts, subject)

    def check(
        self, template: str, outputs: Sequence[str] = (), locale: str | None = None
    ) -> list[RenderFailed]:
        """What keeps a template from being loaded: syntax, or names nobody knows."""
        try:
            language, name = self._language(template, locale)
            language.template(name)
            return language.unknown_names(name, outputs)
        except RenderFailed as failure:
            return [failure]

    def _language(self, template: str, locale: str | None) -> tuple[_Language, str]:
        wanted = (template, SUFFIXES[Channel.EMAIL], locale, self._brand.locale)
        name, tag = localised(self._sources, *wanted, self._catalogues)
        if name not in self._sources:
            raise RenderFailed(name, None, f"there is no file templates/email/{name}")
        if tag not in self._languages:
            spoken = self._catalogues.spoken(tag)
            try:
                language = _Language(self._sources, self._brand, self._vocabulary, tag, spoken)
            except ValueError as error:
                raise RenderFailed("mail.css", None, str(error)) from error
            self._languages[tag] = language
        return self._languages[tag], name


def _body(content: str, footer: str) -> str:
    mark = "<!--content-->"
    made = mark in content
    body = plain.flowed(content.replace(mark, "", 1)) if made else plain.verbatim(content)
    return body + "\n" + plain.flowed(footer)
