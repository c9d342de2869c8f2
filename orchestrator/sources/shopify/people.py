"""Whom a Shopify body is about, and what they said about being written to.

A consent is for one address. Where a body names the address it was given for and the person
is reached at another, the answer is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.contacts import normalise_email
from orchestrator.domain.events import ConsentAnswer
from orchestrator.sources.fields import NormalisePhone
from orchestrator.sources.json_values import read_time
from orchestrator.sources.shopify.bodies import Body, first, part, parts, without_nothing

_STATES: Final = {"subscribed": ConsentAnswer.YES, "unsubscribed": ConsentAnswer.NO}
"""Every other state (`not_subscribed pending redacted invalid`, later ones) is no answer.

Shopify's customers carry a state up to API version 2024-10, and then it decides; later ones
leave it to the consent webhooks, and the box in the checkout is all that a purchase says.
"""
_CONFIRMED: Final = "confirmed_opt_in"


@dataclass(frozen=True, slots=True)
class Said:
    """One channel's answer: when it was given, whether Shopify had it confirmed, for whom."""

    answer: ConsentAnswer = ConsentAnswer.UNKNOWN
    given_at: datetime | None = None
    confirmed: bool = False
    address: Any = None

    @property
    def consented_address(self) -> Any:
        """Whom a yes is for."""
        return self.address if self.answer is ConsentAnswer.YES else None


def person_of_purchase(body: Body, normalise_phone: NormalisePhone) -> dict[str, Any]:
    """`contact`, `consent` and the proof of a checkout or an order."""
    customer = part(body, "customer")
    begun_at = read_time(body.get("created_at"))
    born_at = read_time(customer.get("created_at")) or begun_at
    email = said_by_state(
        part(customer, "email_marketing_consent"), born_at, customer.get("email")
    ) or _ticked(body.get("buyer_accepts_marketing"), begun_at, None)
    sms = said_by_state(
        part(customer, "sms_marketing_consent"), born_at, customer.get("phone")
    ) or _ticked(body.get("buyer_accepts_sms_marketing"), begun_at, body.get("sms_marketing_phone"))
    emails = (body.get("email"), body.get("contact_email"), customer.get("email"))
    contact = _contact(body, customer, emails, sms.consented_address, normalise_phone)
    return with_consent(contact, {"email": email, "sms": sms}, normalise_phone)


def person_of_customer(body: Body, normalise_phone: NormalisePhone) -> dict[str, Any]:
    """The same of a customer."""
    born_at = read_time(body.get("created_at"))
    email = said_by_state(part(body, "email_marketing_consent"), born_at, body.get("email"))
    sms = said_by_state(part(body, "sms_marketing_consent"), born_at, body.get("phone"))
    contact = _contact(body, body, (body.get("email"),), body.get("phone"), normalise_phone)
    said = {name: one for name, one in (("email", email), ("sms", sms)) if one}
    return with_consent(contact, said, normalise_phone)


def with_consent(
    contact: Body, said: Mapping[str, Said], normalise_phone: NormalisePhone
) -> dict[str, Any]:
    """`contact` with the `consent` it has said, and under `consent_evidence` when."""
    answers = {
        channel: _answer(channel, one, contact, normalise_phone) for channel, one in said.items()
    }
    evidence = {
        channel: _evidence(said[channel])
        for channel, answer in answers.items()
        if answer is ConsentAnswer.YES
    }
    known = any(contact.get(name) for name in ("id", "email", "phone"))
    return {
        "contact": contact if known else None,
        "consent": {channel: answer.value for channel, answer in answers.items()},
        "data": without_nothing({"consent_evidence": without_nothing(evidence)}),
    }


def said_by_state(consent: Body, otherwise: datetime | None, address: Any) -> Said | None:
    """What a consent object says; None if it has no state.

    An answer that tells no time of its own was given `otherwise`.
    """
    state = consent.get("state")
    if not isinstance(state, str) or not state:
        return None
    return Said(
        answer=_STATES.get(state.strip().lower(), ConsentAnswer.UNKNOWN),
        given_at=read_time(consent.get("consent_updated_at")) or otherwise,
        confirmed=str(consent.get("opt_in_level")).strip().lower() == _CONFIRMED,
        address=address,
    )


def _ticked(box: Any, begun_at: datetime | None, address: Any) -> Said:
    """What the box in a checkout says.

    It is as old as the checkout: a change of address a day later ticks it no second time.
    """
    if not isinstance(box, bool):
        return Said()
    return Said(ConsentAnswer.YES if box else ConsentAnswer.NO, begun_at, address=address)


def _contact(
    body: Body,
    customer: Body,
    emails: tuple[Any, ...],
    consented_phone: Any,
    normalise_phone: NormalisePhone,
) -> dict[str, Any]:
    shipping, billing = part(body, "shipping_address"), part(body, "billing_address")
    home = part(customer, "default_address") or next(iter(parts(customer, "addresses")), {})
    own = [billing, home]
    if _same_person(shipping, customer, billing):
        own.append(shipping)
    country = first(*(one.get("country_code") for one in (billing, shipping, home)))
    phones = [(one, country) for one in (consented_phone, body.get("phone"), customer.get("phone"))]
    phones += [(one.get("phone"), one.get("country_code")) for one in own]
    named = (customer, *own)
    return without_nothing(
        {
            "id": customer.get("id"),
            "email": first(*emails),
            "phone": _phone(phones, normalise_phone),
            "first_name": first(*(one.get("first_name") for one in named)),
            "last_name": first(*(one.get("last_name") for one in named)),
            "locale": first(body.get("customer_locale"), customer.get("locale")),
            "country": country,
        }
    )


def _same_person(shipping: Body, customer: Body, billing: Body) -> bool:
    """Whether the parcel goes to the buyer: who gets a present must not become one of us."""
    name, buyer = _name(shipping), {_name(customer), _name(billing)} - {""}
    return not name or not buyer or name in buyer


def _name(person: Body) -> str:
    words = (person.get(key) for key in ("first_name", "last_name"))
    return " ".join(word.strip().lower() for word in words if isinstance(word, str)).strip()


def _phone(candidates: list[tuple[Any, Any]], normalise_phone: NormalisePhone) -> Any:
    """The first number that can take messages, else the first there is.

    A number in an address is as typed: it is read the way its country writes numbers.
    """
    given = [(number, region) for number, region in candidates if isinstance(number, str)]
    for number, region in given:
        if found := _normalised(number, region, normalise_phone):
            return found
    return first(*(number for number, _ in given))


def _answer(
    channel: str, said: Said, contact: Body, normalise_phone: NormalisePhone
) -> ConsentAnswer:
    if said.answer is not ConsentAnswer.YES or not isinstance(said.address, str):
        return said.answer
    if channel == "email":
        meant: str | None = normalise_email(said.address)
        reached = normalise_email(str(contact.get("email")))
    else:
        region = contact.get("country")
        meant = _normalised(said.address, region, normalise_phone)
        reached = _normalised(str(contact.get("phone")), region, normalise_phone)
    return said.answer if meant is not None and meant == reached else ConsentAnswer.UNKNOWN


def _normalised(number: str, region: Any, normalise_phone: NormalisePhone) -> str | None:
    return normalise_phone(number, region if isinstance(region, str) else None)


def _evidence(said: Said) -> dict[str, Any]:
    given = said.given_at.isoformat() if said.given_at else None
    return without_nothing({"given_at": given, "confirmed_at": given if said.confirmed else None})
