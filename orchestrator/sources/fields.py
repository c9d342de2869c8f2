"""The canonical fields of an event, read from JSON that strangers wrote.

Reading never fails on a field: what cannot be read is left out and kept, with the reason,
under `data._dropped` of the payload. Only a body that is no JSON, or is nested too deeply,
is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlsplit
from zoneinfo import available_timezones

from orchestrator.domain.contacts import normalise_email
from orchestrator.domain.events import EVENT_FIELDS, ConsentAnswer, ContactFields
from orchestrator.sources.json_values import LARGEST_INTEGER, json_number, read_decimal

LONGEST_TEXT: Final = 10 * 1024
"""Bytes of UTF-8 in one text; a longer one is cut."""
LONGEST_ID: Final = 255
"""Characters of an identity; a longer one is left out."""
MOST_ITEMS: Final = 100
DROPPED: Final = "_dropped"
"""The key under an event's `data` that tells what could not be read."""

NormalisePhone = Callable[[str, str | None], str | None]
"""A number and the region it was written in (ISO 3166) to E.164, or None."""

_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
_TEXTS: Final = ("first_name", "last_name")
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1"})
_NOT_IN_ADDRESSES: Final = re.compile(
    r"[\s<>\"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What ends an address in a text, or turns around how it is read."""
_ANSWERS: Final[Mapping[Any, ConsentAnswer]] = {
    "yes": ConsentAnswer.YES,
    "no": ConsentAnswer.NO,
    "unknown": ConsentAnswer.UNKNOWN,
    True: ConsentAnswer.YES,
    False: ConsentAnswer.NO,
    None: ConsentAnswer.UNKNOWN,
}
_CONSENT_KEYS: Final = ("email", "sms", "whatsapp", "tracking")


@dataclass(frozen=True, slots=True)
class EventFields:
    """What an event says besides its identity, type and time."""

    contact: ContactFields | None
    payload: Mapping[str, Any]
    consent: Mapping[str, ConsentAnswer]


def read_fields(
    given: Mapping[str, Any],
    normalise_phone: NormalisePhone,
    unread: Mapping[str, tuple[Any, str]] | None = None,
) -> EventFields:
    """Read the canonical fields of `given`, as `read_json` returned them.

    A key that is no field of an event is kept under `data`. `unread` is what the caller could
    not read around them: place to value and reason.
    """
    reading = _Reading(normalise_phone)
    for place, (value, why) in (unread or {}).items():
        reading.drop(place, value, why)
    return reading.event(given)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


class _Reading:
    """The reading of one event, and the account of what was left out."""

    def __init__(self, normalise_phone: NormalisePhone) -> None:
        self._normalise_phone = normalise_phone
        self._dropped: dict[str, Any] = {}

    def event(self, given: Mapping[str, Any]) -> EventFields:
        contact = self._contact(given.get("contact"))
        consent = self._consent(given.get("consent"))
        payload = {
            name: value
            for name, read in self._readers().items()
            if given.get(name) is not None and (value := read(given[name], name)) is not None
        }
        if consent:
            payload["consent"] = {channel: answer.value for channel, answer in consent.items()}
        data = self._data(given)
        if self._dropped:
            data[DROPPED] = self._dropped
        if data:
            payload["data"] = data
        return EventFields(contact, payload, consent)

    def _readers(self) -> Mapping[str, Callable[[Any, str], Any]]:
        return {
            "checkout_id": self._id,
            "order_id": self._id,
            "total": self._money,
            "currency": self._currency,
            "items": self._items,
            "product": self._product,
            "checkout_url": self._url,
            "tracking": self._tracking,
            "rating": self._number,
            "score": self._number,
            "text": self._text,
        }

    def drop(self, place: str, value: Any, why: str) -> None:
        self._dropped[place] = {"why": why, "value": self._free(value, place)}

    def _data(self, given: Mapping[str, Any]) -> dict[str, Any]:
        known = {*EVENT_FIELDS, "contact"}
        data = {key: value for key, value in given.items() if key not in known}
        own = given.get("data")
        if isinstance(own, dict):
            data |= own
        elif own is not None:
            self.drop("data", own, "is not an object")
        data.pop(DROPPED, None)
        return {key: self._free(value, f"data.{key}") for key, value in data.items()}

    def _contact(self, given: Any) -> ContactFields | None:
        if given is None:
            return None
        if not isinstance(given, dict):
            self.drop("contact", given, "is not an object")
            return None
        country = self._country(given.get("country"))
        fields = ContactFields(
            id=self._id(given.get("id"), "contact.id"),
            email=self._email(given.get("email")),
            phone=self._phone(given.get("phone"), country),
            locale=self._locale(given.get("locale")),
            timezone=self._timezone(given.get("timezone")),
            country=country,
            attributes=self._attributes(given),
            source=self._object(given.get("source"), "contact.source") or {},
            **{name: self._text(given.get(name), f"contact.{name}") for name in _TEXTS},
        )
        if fields.identified:
            return fields
        if given:
            self.drop("contact", given, "has no id, email or phone that could be read")
        return None

    def _attributes(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        known = {*_TEXTS, *("id email phone locale timezone country source attributes".split())}
        own = self._object(given.get("attributes"), "contact.attributes") or {}
        return {
            key: self._free(value, f"contact.{key}")
            for key, value in given.items()
            if key not in known
        } | own

    def _email(self, value: Any) -> str | None:
        address = normalise_email(value) if isinstance(value, str) else None
        if address is None and value:
            self.drop("contact.email", value, "is not an email address")
        return address

    def _phone(self, value: Any, country: str | None) -> str | None:
        text = str(value) if isinstance(value, str | int) else ""
        number = self._normalise_phone(text[:64], country) if text else None
        if number is None and value:
            self.drop("contact.phone", value, "is not a phone number; +358 40 1234567 is one")
        return number

    def _locale(self, value: Any) -> str | None:
        if isinstance(value, str) and _LOCALE.fullmatch(value):
            return value.replace("_", "-")
        if value:
            self.drop("contact.locale", value, "is not a language tag such as de-DE")
        return None

    def _timezone(self, value: Any) -> str | None:
        if isinstance(value, str) and value in _zones():
            return value
        if value:
            self.drop("contact.timezone", value, "is not a time zone such as Europe/Helsinki")
        return None

    def _country(self, value: Any) -> str | None:
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{2}", value):
            return value.upper()
        if value:
            self.drop("contact.country", value, "is not a country code such as FI")
        return None

    def _consent(self, given: Any) -> dict[str, ConsentAnswer]:
        found: dict[str, ConsentAnswer] = {}
        for channel, value in (self._object(given, "consent") or {}).items():
            known = value.strip().lower() if isinstance(value, str) else value
            answer = _ANSWERS.get(known) if isinstance(known, str | bool | None) else None
            if channel not in _CONSENT_KEYS:
                self.drop(f"consent.{channel}", value, "is not a channel, nor tracking")
            elif answer is None:
                self.drop(f"consent.{channel}", value, "is not yes, no or unknown")
                found[channel] = ConsentAnswer.UNKNOWN
            else:
                found[channel] = answer
        return found

    def _items(self, given: Any, place: str) -> list[dict[str, Any]] | None:
        if not isinstance(given, list):
            self.drop(place, given, "is not a list")
            return None
        if len(given) > MOST_ITEMS:
            self._dropped[place] = {"why": f"has {len(given)} entries; {MOST_ITEMS} are kept"}
        items = [
            self._product(item, f"{place}[{index}]")
            for index, item in enumerate(given[:MOST_ITEMS])
        ]
        return [item for item in items if item is not None]

    def _product(self, given: Any, place: str) -> dict[str, Any] | None:
        """A product or an item: known fields checked, others kept as they are."""
        readers: Mapping[str, Callable[[Any, str], Any]] = {
            **dict.fromkeys(("id", "product_id", "sku"), self._id),
            **dict.fromkeys(("name", "category"), self._text),
            **dict.fromkeys(("url", "image"), self._url),
            "quantity": self._number,
            "price": self._money,
        }
        return self._record(given, place, readers)

    def _tracking(self, given: Any, place: str) -> dict[str, Any] | None:
        return self._record(
            given, place, {"carrier": self._text, "number": self._id, "url": self._url}
        )

    def _record(
        self, given: Any, place: str, readers: Mapping[str, Callable[[Any, str], Any]]
    ) -> dict[str, Any] | None:
        if not isinstance(given, dict):
            self.drop(place, given, "is not an object")
            return None
        values = {
            key: readers.get(key, self._free)(value, f"{place}.{key}")
            for key, value in given.items()
            if value is not None
        }
        return {key: value for key, value in values.items() if value is not None}

    def _object(self, given: Any, place: str) -> dict[str, Any] | None:
        if isinstance(given, dict):
            return {key: self._free(value, f"{place}.{key}") for key, value in given.items()}
        if given is not None:
            self.drop(place, given, "is not an object")
        return None

    def _id(self, value: Any, place: str) -> str | None:
        number = isinstance(value, int) and not isinstance(value, bool)
        text = str(value) if number and abs(value) <= LARGEST_INTEGER else value
        if isinstance(text, str) and 0 < len(text.strip()) <= LONGEST_ID:
            return text.strip()
        if value is not None:
            self.drop(place, value, f"is not a text of 1 to {LONGEST_ID} characters")
        return None

    def _text(self, value: Any, place: str) -> str | None:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = str(self._free(value, place))
        if isinstance(value, str):
            return self._short(value, place)
        if value is not None:
            self.drop(place, value, "is not a text")
        return None

    def _money(self, value: Any, place: str) -> str | None:
        number = read_decimal(value)
        if number is None:
            self.drop(place, value, "is not an amount such as 19.90")
            return None
        return format(number, "f")

    def _number(self, value: Any, place: str) -> Any:
        number = read_decimal(value)
        if number is None:
            self.drop(place, value, "is not a number")
            return None
        return self._free(number, place)

    def _currency(self, value: Any, place: str) -> str | None:
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{3}", value):
            return value.upper()
        self.drop(place, value, "is not a currency code such as EUR")
        return None

    def _url(self, value: Any, place: str) -> str | None:
        """An address that may stand in a mail: https, nothing that runs.

        http becomes https, as browsers try it first: a mail links to nothing else. What
        browsers take for a slip (a space, a quote, a line break) is mended as they mend it
        (URL Standard, 4.4), or the message it belongs in could not be sent.
        """
        try:
            parts = urlsplit(value.strip()) if isinstance(value, str) else None
        except ValueError:
            parts = None
        if parts is not None and parts.scheme in {"http", "https"} and parts.netloc:
            whole = re.sub(r"[\t\r\n]", "", value.strip())
            if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
                whole = "https" + whole[len("http") :]
            return self._short(_NOT_IN_ADDRESSES.sub(lambda one: quote(one[0]), whole), place)
        self.drop(place, value, "is not a web address")
        return None

    def _short(self, text: str, place: str) -> str:
        size = len(text.encode())
        if size <= LONGEST_TEXT:
            return text
        self._dropped[place] = {"why": f"has {size} bytes; the first {LONGEST_TEXT} are kept"}
        return text.encode()[:LONGEST_TEXT].decode(errors="ignore")

    def _free(self, value: Any, place: str) -> Any:
        """A value of the sender's own as JSON that every database can hold."""
        if isinstance(value, str):
            return self._short(value, place)
        if isinstance(value, dict):
            return {
                self._short(key, place): self._free(part, f"{place}.{key}"[:LONGEST_ID])
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [self._free(part, f"{place}[{index}]") for index, part in enumerate(value)]
        if isinstance(value, Decimal):
            return json_number(value)
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            return json_number(Decimal(value))
        return value
