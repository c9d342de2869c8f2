"""The shop as its messages show it, and the texts its customers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Channel(StrEnum):
    """A way to reach a person."""

    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"


class MessageClass(StrEnum):
    """What a message is in law, which decides the consent, caps and hours it needs."""

    MARKETING = "marketing"
    SERVICE = "service"
    TRANSACTIONAL = "transactional"
    LEGAL = "legal"


@dataclass(frozen=True, slots=True)
class LocalText:
    """A text a customer reads: `default`, also `str()` of it, is in the brand's locale."""

    default: str
    by_locale: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The wording in the brand's locale."""
        return self.default

    def in_locale(self, locale: str) -> str:
        """The closest wording: the locale itself, then its language, then the default."""
        while locale:
            if locale in self.by_locale:
                return self.by_locale[locale]
            locale = locale.rpartition("-")[0]
        return self.default


class DoubleOptIn(StrEnum):
    """When a sign-up must be confirmed by mail before marketing may be sent."""

    WHERE_REQUIRED = "where_required"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class PrivacyNotice:
    """The privacy policy in force and, for a notice about a change, what changed."""

    version: str
    effective: date
    url: str
    previous_url: str | None = None
    why: LocalText | None = None
    changes: tuple[LocalText, ...] = ()


@dataclass(frozen=True, slots=True)
class Logo:
    """Addresses of the logo on a light and on a dark background."""

    light: str
    dark: str | None = None


@dataclass(frozen=True, slots=True)
class Brand:
    """The sender: identity, addresses, language and looks."""

    name: LocalText
    url: str
    email_marketing: str
    email_service: str
    postal_address: LocalText
    support: str
    locale: str
    timezone: str
    legal_name: LocalText
    sms: Mapping[str, str] = field(default_factory=dict)
    """Sender by ISO 3166 country code; `default` for the rest."""
    whatsapp: Mapping[str, str] = field(default_factory=dict)
    staff: Mapping[str, str] = field(default_factory=dict)
    currency: str | None = None
    hosts: tuple[str, ...] = ()
    logo: Logo | None = None
    theme: Mapping[str, str] = field(default_factory=dict)
    double_opt_in: DoubleOptIn = DoubleOptIn.WHERE_REQUIRED
    privacy: PrivacyNotice | None = None

    def email_for(self, message_class: MessageClass) -> str:
        """The sender of a mail: marketing has its own, everything else is service mail."""
        if message_class is MessageClass.MARKETING:
            return self.email_marketing
        return self.email_service

    def sms_for(self, country: str | None) -> str | None:
        """The SMS sender for a country, or None where the brand has none."""
        return self.sms.get(country or "", self.sms.get("default"))


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing a person may ask for or decline."""

    name: str
    title: LocalText
    description: LocalText | None = None
