"""What a message is about, and the names and filters under which templates know it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from gettext import NullTranslations
from typing import Any, Final, assert_never
from urllib.parse import quote

from orchestrator.domain.expressions.shapes import Record
from orchestrator.domain.expressions.vocabulary import ATTRIBUTE_KINDS, contact
from orchestrator.domain.flows import AttributeType, Brand, LocalText, MessageClass, Topic
from orchestrator.rendering import formats
from orchestrator.rendering.locales import Catalogues, closest, filled
from orchestrator.rendering.names import BRAND, OUTPUT, ROOTS, Facts, shaped, shaper

_WEB_LINK: Final = re.compile(
    r"(?:https://|http://(?:127\.0\.0\.1|localhost)[:/]|mailto:|tel:)[^\s<>\"]+"
)


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a message is about. `outputs` are those of earlier steps, by step id.

    `sender` is the number or name a text message comes from; None for a mail.
    """

    message_class: MessageClass
    links: Mapping[str, str | None]
    locale: str | None = None
    topic: str | None = None
    sender: str | None = None
    subject: LocalText | None = None
    contact: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None
    checkout: Mapping[str, Any] | None = None
    order: Mapping[str, Any] | None = None
    item: Mapping[str, Any] | None = None
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


TEXT_NAMES: Final = ("topic", "class", "reason", "sender")
"""Names at the top without fields."""


class Vocabulary:
    """Facts under the names that the templates of one version know."""

    def __init__(
        self,
        brand: Brand,
        topics: Mapping[str, Topic] | None = None,
        attributes: Mapping[str, AttributeType] | None = None,
        catalogues: Catalogues | None = None,
    ) -> None:
        self._brand = brand
        self._catalogues = catalogues or Catalogues({})
        self._reasons: dict[str, NullTranslations] = {}
        self._topics = topics or {}
        kinds = {name: ATTRIBUTE_KINDS[kind.value] for name, kind in (attributes or {}).items()}
        declared = contact(kinds, ())
        # Consent differs by topic, and a template needs no more than to look.
        fields = {**declared.fields, "consent": OUTPUT}
        self._roots: Mapping[str, Record] = {**ROOTS, "contact": Record("contact", fields)}
        self._shapers = {name: shaper(record) for name, record in self._roots.items()}
        self._texts: dict[tuple[str, str | None, str], dict[str, str | None]] = {}

    @property
    def shapes(self) -> dict[str, Record]:
        """The names at the top that have fields, but for step outputs."""
        return {**self._roots, "brand": BRAND}

    def facts(
        self, context: RenderContext, locale: str, used: Collection[str] | None = None
    ) -> dict[str, Any]:
        """All variables of one message but for those that only the locale decides.

        With `used`, names that are not in it are left empty: nobody will look.
        """
        known: dict[str, Any] = {name: _output(output) for name, output in context.outputs.items()}
        given = {
            "contact": context.contact,
            "event": context.event,
            "checkout": context.checkout,
            "order": context.order,
            "item": context.item,
            "links": context.links,
        }
        for name, shape in self._shapers.items():
            known[name] = shape(given[name] if used is None or name in used else None)
        known.update(self._said(context.message_class, context.topic, locale))
        known["sender"] = context.sender
        return known

    def _said(
        self, message_class: MessageClass, named: str | None, locale: str
    ) -> dict[str, str | None]:
        """What is the same for all messages of a class and topic in a language."""
        key = (message_class.value, named, locale)
        if key not in self._texts:
            topic = self._topics.get(named or "")
            title = self._spoken(topic.title, locale) if topic else None
            reason = self._reason(message_class, title, locale)
            self._texts[key] = {"topic": title, "reason": reason, "class": message_class.value}
        return self._texts[key]

    def _spoken(self, text: LocalText, locale: str) -> str | None:
        """The text if it is said in the language: no sentence is half in another."""
        ours = locale in closest(self._brand.locale) or self._brand.locale in closest(locale)
        said = ours or any(tag in text.by_locale for tag in closest(locale))
        return text.in_locale(locale) if said else None

    def _reason(self, message_class: MessageClass, topic: str | None, locale: str) -> str:
        if locale not in self._reasons:
            self._reasons[locale] = self._catalogues.spoken(locale)
        said = _reason(message_class, topic, self._reasons[locale].gettext)
        return filled(said, {"topic": topic, "shop": self._brand.name.in_locale(locale)})

    def brand_in(self, locale: str) -> Facts:
        """The brand with its texts in one language."""
        brand = self._brand
        texts = {
            "name": brand.name,
            "legal_name": brand.legal_name,
            "postal_address": brand.postal_address,
        }
        values: dict[str, Any] = {name: text.in_locale(locale) for name, text in texts.items()}
        for name in ("url", "support", "locale", "timezone", "currency"):
            values[name] = getattr(brand, name)
        if brand.logo:
            values["logo"] = {"light": brand.logo.light, "dark": brand.logo.dark}
        if notice := brand.privacy:
            values["privacy"] = {
                "version": notice.version,
                "effective": notice.effective,
                "url": notice.url,
                "previous_url": notice.previous_url,
                "why": notice.why and notice.why.in_locale(locale),
                "changes": [change.in_locale(locale) for change in notice.changes],
            }
        return shaped(values, BRAND)


_output: Final = shaper(OUTPUT)


def web_link(url: object) -> str:
    """The address, if it is one that a mail may link to; raises ValueError otherwise."""
    if not is_web_link(url):
        raise ValueError(f"{url!s:.80} is no https address")
    return str(url)


def is_web_link(url: object) -> bool:
    """Whether a mail may link to it: https, mailto and tel, and http on this machine."""
    return isinstance(url, str) and _leads_to_the_web(url)


@lru_cache(maxsize=1024)
def _leads_to_the_web(url: str) -> bool:
    """One address is asked about several times in a mail."""
    return _WEB_LINK.fullmatch(url) is not None


def with_query(url: object, name: str, value: object) -> str:
    """The web address with `name=value` in its query, in place of an earlier one of that name.

    What else stands in the query, and the fragment, stay as they are (RFC 3986 section 3.4).
    Raises ValueError for what is no web address: mailto and tel take no answer.
    """
    address, mark, fragment = web_link(url).partition("#")
    if not address.startswith("http"):
        raise ValueError(f"{url!s:.80} is no https address: it cannot carry an answer")
    place, _, query = address.partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] != name]
    answer = f"{quote(name, safe='')}={quote(str(value), safe='')}"
    return f"{place}?{'&'.join([*kept, answer])}{mark}{fragment}"


def filters(brand: Brand, locale: str) -> dict[str, Callable[..., Any]]:
    """What a template may do to a value, in one language."""

    def money(value: object, currency: str | None = None) -> str:
        return formats.money(value, currency or brand.currency, locale)

    return {
        "money": money,
        "quantity": partial(formats.quantity, locale=locale),
        "date": partial(formats.day, locale=locale),
        "web_link": web_link,
        "is_web_link": is_web_link,
        "with_query": with_query,
        "contact_link": lambda way: way if is_web_link(way) else f"mailto:{way}",
        "initial": lambda name: (str(name or "").strip()[:1] or "·").upper(),
    }


def _reason(message_class: MessageClass, topic: str | None, _: Callable[[str], str]) -> str:
    match message_class:
        case MessageClass.MARKETING:
            if topic:
                return _("You get this because you said yes to “%(topic)s” from %(shop)s.")
            return _("You get this because you said yes to news from %(shop)s.")
        case MessageClass.SERVICE:
            return _("You get this because you asked %(shop)s for it.")
        case MessageClass.TRANSACTIONAL:
            return _("You get this because of your order from %(shop)s.")
        case MessageClass.LEGAL:
            return _("You get this because %(shop)s keeps data about you and has to tell you.")
    assert_never(message_class)
