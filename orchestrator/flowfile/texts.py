"""Names, language tags, and the texts that customers read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.flows import LocalText
from orchestrator.flowfile.shapes import JsonSchema, Shape, Text, Word, write
from orchestrator.flowfile.source import Log, Mapping, Node, Span
from orchestrator.flowfile.structures import Named, each_value

LOCALE_PATTERN: Final = r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?(-[a-z0-9]{5,8})*"
NAME: Final = Word(
    r"[a-z][a-z0-9_]{0,63}",
    "a name of small letters, digits and _",
    "offers",
    mend=lambda text: re.sub(r"[\s-]+", "_", text.lower()),
)
LOCALE: Final = Word(
    LOCALE_PATTERN, "a language tag", "en or pt-BR", mend=lambda text: text.replace("_", "-")
)


@dataclass(frozen=True, slots=True)
class Wording:
    """A text a customer reads, before the brand's locale is known."""

    by_locale: dict[str, str]
    span: Span

    def compile(self, locale: str, log: Log) -> LocalText:
        """The text with its default; a mapping must have the brand's locale."""
        if "" in self.by_locale:
            return LocalText(self.by_locale[""])
        if locale not in self.by_locale and self.by_locale and locale:
            message = f'the brand\'s locale "{locale}" is missing among the translations'
            log.wrong("value", self.span, message, f"add {locale}: ...")
        return LocalText(self.by_locale.get(locale, ""), self.by_locale)


@dataclass(frozen=True, slots=True)
class Localised(Shape[Wording]):
    """Text, or a mapping of locale to text."""

    longest: int = 1000

    def read(self, node: Node, log: Log) -> Wording | None:
        """The wording."""
        if isinstance(node, Mapping):
            found = Named(LOCALE, Text(longest=self.longest)).read(node, log) or {}
            if not node.entries:
                log.wrong("value", node, "no text in any language", write(log, "{en: …}"))
                return None
            texts = {name: value for name, value, _ in each_value(found)}
            return Wording(texts, node.entries[0].key if node.entries else node)
        text = Text(longest=self.longest).read(node, log)
        return None if text is None else Wording({"": text}, node)

    def schema(self) -> JsonSchema:
        """Text, or texts by language tag."""
        return {"$ref": "#/$defs/text"}
