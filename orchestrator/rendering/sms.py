"""Text messages: one template, one text, nothing a phone could be misled by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.flows import AttributeType, Brand, Channel, Topic
from orchestrator.domain.segments import MOST_CHARACTERS, MOST_SEGMENTS, SmsSize, size_of
from orchestrator.rendering.context import TEXT_NAMES, RenderContext, Vocabulary, filters
from orchestrator.rendering.environment import MessageEnvironment
from orchestrator.rendering.locales import Catalogues
from orchestrator.rendering.templates import SUFFIXES, localised, of_channel

NAMED_WITHIN: Final = 40
"""Characters within which a text says who sends it (F7)."""
_ADDRESS = re.compile(r"https?://\S*", re.IGNORECASE)
_STRIPPED = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff"
    r"\ud800-\udfff]"
)
"""Control characters but for the line feed, and marks that turn the direction of the text.
The joiners U+200C and U+200D stay: they are spelling."""
_SPACES = re.compile(r" {2,}")
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class RenderedSms:
    """A text message; `locale` is the language it is in."""

    text: str
    locale: str
    size: SmsSize


class SmsRenderer:
    """The text messages of one version: its templates, brand and topics."""

    def __init__(
        self,
        templates: Mapping[str, str],
        brand: Brand,
        topics: Mapping[str, Topic] | None = None,
        attributes: Mapping[str, AttributeType] | None = None,
    ) -> None:
        self._sources = of_channel(templates, Channel.SMS)
        self._brand = brand
        self._catalogues = Catalogues(templates)
        self._vocabulary = Vocabulary(brand, topics, attributes, self._catalogues)
        self._environments: dict[str, MessageEnvironment] = {}

    def render(self, template: str, context: RenderContext) -> RenderedSms:
        """The text for a template named `<group>/<name>`.

        Raises:
            RenderFailed: there is no such template, it and the facts do not fit together,
                nothing is left to say, or too much.
        """
        sms = self.render_unbounded(template, context)
        if sms.size.segments > MOST_SEGMENTS or len(sms.text) > MOST_CHARACTERS:
            message = f"{sms.size.segments} SMS and {len(sms.text)} characters are too long a text"
            raise RenderFailed(template, None, message)
        return sms

    def render_unbounded(self, template: str, context: RenderContext) -> RenderedSms:
        """The same, however long it is."""
        environment, name, locale = self._environment(template, context.locale)
        facts = self._vocabulary.facts(context, locale)
        text = tidy(environment.rendered(environment.compiled(name), facts))
        if not text:
            raise RenderFailed(name, None, "the message is empty")
        return RenderedSms(text, locale, size_of(text))

    def source(self, template: str, locale: str | None = None) -> tuple[str, str]:
        """(file below its folder, text) of a template in a language. Raises RenderFailed."""
        _, name, _ = self._environment(template, locale)
        return name, self._sources[name]

    def check(
        self, template: str, outputs: Sequence[str] = (), locale: str | None = None
    ) -> list[RenderFailed]:
        """What keeps a template from being loaded: syntax, or names nobody knows."""
        try:
            environment, name, _ = self._environment(template, locale)
            environment.compiled(name)
            names = (*TEXT_NAMES, *outputs)
            return environment.unknown_names(name, names, self._vocabulary.shapes)
        except RenderFailed as failure:
            return [failure]

    def _environment(
        self, template: str, locale: str | None
    ) -> tuple[MessageEnvironment, str, str]:
        wanted = (template, SUFFIXES[Channel.SMS], locale, self._brand.locale)
        name, tag = localised(self._sources, *wanted, self._catalogues)
        if name not in self._sources:
            raise RenderFailed(name, None, f"there is no file templates/sms/{name}")
        if tag not in self._environments:
            names = {"brand": self._vocabulary.brand_in(tag), "locale": tag, "part": "text"}
            self._environments[tag] = MessageEnvironment(
                self._sources,
                escaping=False,
                names=names,
                filters=filters(self._brand, tag),
                spoken=self._catalogues.spoken(tag),
            )
        return self._environments[tag], name, tag


def tidy(text: str) -> str:
    """Composed characters (NFC), one space at a time, no trailing space, no control characters."""
    composed = unicodedata.normalize("NFC", _STRIPPED.sub("", text.replace("\r\n", "\n")))
    lines = (_SPACES.sub(" ", line).strip() for line in composed.split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def names_sender(text: str, name: str) -> bool:
    """Whether a text says early, in words and not by an address alone, whom it comes from (F7)."""
    return tidy(name).casefold() in _ADDRESS.sub("", text[:NAMED_WITHIN]).casefold()
