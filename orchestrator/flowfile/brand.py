"""The keys of `brand` and `topics`, and what they compile to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from orchestrator.domain.flows import (
    Brand,
    DoubleOptIn,
    LocalText,
    Logo,
    PrivacyNotice,
    Topic,
)
from orchestrator.flowfile.shapes import (
    Choice,
    JsonSchema,
    Shape,
    Text,
    Word,
    nearest,
    read_scalar,
)
from orchestrator.flowfile.source import Log, Mapping, Node, shorten
from orchestrator.flowfile.structures import (
    At,
    Field,
    Fields,
    Many,
    Named,
    Placed,
    Record,
    each_value,
    fields,
)
from orchestrator.flowfile.texts import LOCALE, NAME, Localised, Wording
from orchestrator.flowfile.times import Day

_MAILBOX: Final = r"[^<>@\s,;]+@[^<>@\s,;]+\.[^<>@\s,;.]+"
_FULL_MAILBOX: Final = rf"(?:[^<>@\r\n]{{1,200}} <{_MAILBOX}>|{_MAILBOX})"

_MAIL: Final = Word(_MAILBOX, "an email address", "help@northwind.example")
_SENDER: Final = Word(_FULL_MAILBOX, "a sender", "Northwind <hello@northwind.example>")
_LINK: Final = Word(
    r"https?://[^\s/]+\S*",
    "a web address",
    "https://northwind.example",
    mend=lambda text: f"https://{text}" if "." in text else "",
)
_HOST: Final = Word(r"([A-Za-z0-9-]+\.)+[A-Za-z]{2,}", "a host name", "cdn.northwind.example")
_COLOUR: Final = Word(r"#[0-9a-fA-F]{6}", "a colour", '"#0b5a7a"')
_CURRENCY: Final = Word(r"[A-Z]{3}", "a currency code (ISO 4217)", "EUR")
_PHONE_OR_NAME: Final = Word(
    r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}",
    "an SMS sender: a number with +, a short code, or up to 11 letters",
    '"+15005550006"',
)
_COUNTRY: Final = Word(r"default|[A-Z]{2}", "a country code (ISO 3166) or default", "FI")


@cache
def _time_zones() -> frozenset[str]:
    """Listing them walks a folder of hundreds of files."""
    return frozenset(available_timezones())


@dataclass(frozen=True, slots=True)
class TimeZone(Shape[str]):
    """A time zone of the IANA database."""

    def read(self, node: Node, log: Log) -> str | None:
        """Its name."""
        scalar = read_scalar(node, log, "a time zone", "Europe/Helsinki")
        if scalar is None:
            return None
        text = scalar.text.strip()
        zones = _time_zones()
        if text in zones:
            return text
        message = f'"{shorten(text)}" is no time zone'
        guess = nearest(text, sorted(zones))
        hint = guess if guess.startswith("did") else "write timezone: Europe/Helsinki"
        log.wrong("value", scalar, message, hint)
        return None

    def schema(self) -> JsonSchema:
        """Area and place."""
        return {"type": "string", "examples": ["Europe/Helsinki"]}


@dataclass(frozen=True, slots=True)
class Senders(Shape[dict[str, str]]):
    """One value for all, or one per key."""

    single: Shape[str]
    everywhere: tuple[str, ...]
    group: Shape[dict[str, str]]

    def read(self, node: Node, log: Log) -> dict[str, str] | None:
        """The value for each key."""
        if isinstance(node, Mapping):
            return self.group.read(node, log)
        value = self.single.read(node, log)
        return None if value is None else dict.fromkeys(self.everywhere, value)

    def schema(self) -> JsonSchema:
        """Either."""
        return {"anyOf": [self.single.schema(), self.group.schema()]}


@dataclass(frozen=True, slots=True)
class Values(Shape[dict[str, str]]):
    """A named group as plain values."""

    inner: Named[str]

    def read(self, node: Node, log: Log) -> dict[str, str] | None:
        """The values by name."""
        found = self.inner.read(node, log)
        return None if found is None else {name: value for name, value, _ in each_value(found)}

    def schema(self) -> JsonSchema:
        """That of the group."""
        return self.inner.schema()


@dataclass(frozen=True, slots=True)
class Flat(Shape[dict[str, str]]):
    """A record of texts as plain values."""

    inner: Record

    def read(self, node: Node, log: Log) -> dict[str, str] | None:
        """The values by key."""
        found = self.inner.read(node, log)
        if found is None:
            return None
        return {name: value for name, value in found.values.items() if isinstance(value, str)}

    def schema(self) -> JsonSchema:
        """That of the record."""
        return self.inner.schema()


_NEWS = "Northwind <news@m.northwind.example>"
_HELLO = "Northwind <hello@northwind.example>"
_EMAIL: Final = Record(
    "brand.email",
    fields(
        Field("marketing", _SENDER, "Sender of marketing mail.", _NEWS, required=True),
        Field("service", _SENDER, "Sender of all other mail.", _HELLO, required=True),
    ),
    "brand.email",
)
_LOGO: Final = Record(
    "brand.logo",
    fields(
        Field("light", _LINK, "Logo for light backgrounds.", "https://…/logo.png", required=True),
        Field("dark", _LINK, "Logo for dark backgrounds.", "https://…/logo-dark.png"),
    ),
    "brand.logo",
)
_THEME: Final = Record(
    "brand.theme",
    fields(Field("accent", _COLOUR, "Colour of links and buttons.", '"#0b5a7a"')),
    "brand.theme",
    'theme: {accent: "#0b5a7a"}',
)

P_VERSION: Final = Field(
    "version", Text(longest=60), "Name of this version.", "2026-12", required=True
)
P_EFFECTIVE: Final = Field(
    "effective", Day(), "First day it is in force.", "2026-12-15", required=True
)
P_URL: Final = Field("url", _LINK, "Where it can be read.", "https://…/privacy", required=True)
P_PREVIOUS: Final = Field(
    "previous_url", _LINK, "Where the version before can be read.", "https://…"
)
P_WHY: Final = Field("why", Localised(), "Why it changes.", "The law on bookkeeping changed.")
P_CHANGES: Final = Field("changes", Many(Localised()), "What changes, point by point.", "[...]")
PRIVACY: Final = Record(
    "brand.privacy",
    fields(P_VERSION, P_EFFECTIVE, P_URL, P_PREVIOUS, P_WHY, P_CHANGES),
    "brand.privacy",
)

B_NAME: Final = Field("name", Localised(100), "Name of the shop.", "Northwind Books", required=True)
B_LEGAL: Final = Field("legal_name", Localised(200), "Registered name.", "Northwind Books Oy")
B_URL: Final = Field("url", _LINK, "The shop.", "https://northwind.example", required=True)
B_EMAIL: Final = Field(
    "email",
    Senders(_SENDER, ("marketing", "service"), Flat(_EMAIL)),
    "Sender of mail; one for all, or marketing and service apart.",
    _HELLO,
    required=True,
)
B_SMS: Final = Field(
    "sms",
    Senders(_PHONE_OR_NAME, ("default",), Values(Named(_COUNTRY, _PHONE_OR_NAME))),
    "Sender of SMS; one for all countries, or by country with default.",
    '"+15005550006"',
)
B_WHATSAPP: Final = Field(
    "whatsapp",
    Senders(_PHONE_OR_NAME, ("default",), Values(Named(_COUNTRY, _PHONE_OR_NAME))),
    "Sender of WhatsApp messages, like sms.",
    '"+15005550006"',
)
B_POSTAL: Final = Field(
    "postal_address",
    Localised(),
    "Address in the footer of every mail.",
    "Keskuskatu 1, 00100 Helsinki, Finland",
    required=True,
)
B_SUPPORT: Final = Field(
    "support", _MAIL, "Where customers get help.", "help@northwind.example", required=True
)
B_STAFF: Final = Field(
    "staff",
    Values(Named(NAME, _MAIL)),
    "Colleagues a step may write to, by name.",
    "{support: help@northwind.example}",
)
B_LOCALE: Final = Field("locale", LOCALE, "Language of the shop.", "en", required=True)
B_TIMEZONE: Final = Field(
    "timezone", TimeZone(), "Time zone of the shop.", "Europe/Helsinki", required=True
)
B_CURRENCY: Final = Field("currency", _CURRENCY, "Currency of prices.", "EUR")
B_HOSTS: Final = Field(
    "hosts", Many(_HOST), "Hosts of images, besides url.", "[cdn.northwind.example]"
)
B_LOGO: Final = Field("logo", _LOGO, "The logo, for light and dark.", "{light: https://…/logo.png}")
B_THEME: Final = Field("theme", Flat(_THEME), "Colours.", '{accent: "#0b5a7a"}')
B_DOUBLE: Final = Field(
    "double_opt_in",
    Choice("double_opt_in", DoubleOptIn),
    "When a sign-up must be confirmed by mail.",
    "where_required",
)
B_PRIVACY: Final = Field(
    "privacy", PRIVACY, "The privacy policy in force.", "{version: 2026-12, …}"
)
BRAND: Final = Record(
    "brand",
    fields(
        B_NAME,
        B_LEGAL,
        B_URL,
        B_EMAIL,
        B_SMS,
        B_WHATSAPP,
        B_POSTAL,
        B_SUPPORT,
        B_STAFF,
        B_LOCALE,
        B_TIMEZONE,
        B_CURRENCY,
        B_HOSTS,
        B_LOGO,
        B_THEME,
        B_DOUBLE,
        B_PRIVACY,
    ),
    "brand",
    "brand: {name: …, url: …, email: …}",
)

T_TITLE: Final = Field("title", Localised(100), "What customers see.", "Offers", required=True)
T_DESCRIPTION: Final = Field("description", Localised(500), "One more sentence.", "Twice a month.")
TOPICS: Final = At(
    Named(
        NAME,
        Record("topic", fields(T_TITLE, T_DESCRIPTION), "the topic", "offers: {title: Offers}"),
        "a group of topics",
        "offers: {title: Offers and sales}",
    )
)


def compile_brand(found: Fields, log: Log) -> Brand:
    """The brand; gaps were logged and are filled with nothing."""
    locale = found.get(B_LOCALE) or ""
    email = found.get(B_EMAIL) or {}
    name = _compile_text(found.get(B_NAME), locale, log)
    legal_name = found.get(B_LEGAL)
    logo = found.get(B_LOGO)
    return Brand(
        name=name,
        legal_name=_compile_text(legal_name, locale, log) if legal_name else name,
        url=found.get(B_URL) or "",
        email_marketing=email.get("marketing", ""),
        email_service=email.get("service", ""),
        postal_address=_compile_text(found.get(B_POSTAL), locale, log),
        support=found.get(B_SUPPORT) or "",
        locale=locale,
        timezone=found.get(B_TIMEZONE) or "UTC",
        sms=found.get(B_SMS) or {},
        whatsapp=found.get(B_WHATSAPP) or {},
        staff=found.get(B_STAFF) or {},
        currency=found.get(B_CURRENCY),
        hosts=found.get(B_HOSTS) or (),
        logo=_compile_logo(logo) if logo else None,
        theme=found.get(B_THEME) or {},
        double_opt_in=found.get(B_DOUBLE) or DoubleOptIn.WHERE_REQUIRED,
        privacy=_compile_privacy(found.get(B_PRIVACY), locale, log),
    )


def compile_topics(
    found: Placed[dict[str, Placed[Fields]]] | None, locale: str, log: Log
) -> dict[str, Topic]:
    """Topics by name."""
    topics = {}
    for name, topic, _ in each_value(found.value if found else None):
        title, description = topic.get(T_TITLE), topic.get(T_DESCRIPTION)
        topics[name] = Topic(
            name,
            title.compile(locale, log) if title else LocalText(""),
            description.compile(locale, log) if description else None,
        )
    return topics


def _compile_text(found: Wording | None, locale: str, log: Log) -> LocalText:
    return found.compile(locale, log) if found else LocalText("")


def _compile_logo(found: Fields) -> Logo:
    light, dark = found.values.get("light"), found.values.get("dark")
    return Logo(str(light or ""), str(dark) if dark else None)


def _compile_privacy(found: Fields | None, locale: str, log: Log) -> PrivacyNotice | None:
    effective = found.get(P_EFFECTIVE) if found else None
    if found is None or effective is None:
        return None
    why = found.get(P_WHY)
    return PrivacyNotice(
        version=found.get(P_VERSION) or "",
        effective=effective,
        url=found.get(P_URL) or "",
        previous_url=found.get(P_PREVIOUS),
        why=why.compile(locale, log) if why else None,
        changes=tuple(change.compile(locale, log) for change in found.get(P_CHANGES) or ()),
    )
