"""A test's person and events, as the engine takes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.consent import (
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentEvidence,
    LegalBasis,
)
from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.identifiers import ContactId
from orchestrator.domain.journey_tests import EventComes, Person
from orchestrator.ports import UnitOfWork
from orchestrator.sources.fields import DROPPED, read_fields
from orchestrator.sources.phones import normalise_phone

SOURCE: Final = "simulation"
_NAMELESS: Final = frozenset({"product.restocked", "product.price_changed"})
"""Events of a product, which are nobody's."""
_COLUMNS: Final = ("first_name", "last_name", "locale", "timezone", "country")


def unreadable(fields: Mapping[str, Any]) -> Mapping[str, str]:
    """What of an event's fields cannot be read, and why."""
    dropped = read_fields(fields, normalise_phone).payload.get("data", {}).get(DROPPED, {})
    return {place: told["why"] for place, told in dropped.items()}


def place_person(uow: UnitOfWork, person: Person, now: datetime) -> ContactId:
    """Put somebody into the database as if they had always been there."""
    fields = read_fields({"contact": person.fields}, normalise_phone).contact
    if fields is None:
        raise ValueError("a person without any identity")
    (found,) = uow.contacts.resolve([fields], person.created_at)
    contact_id = found.contact_id
    told = {name: getattr(fields, name) for name in _COLUMNS}
    changes: dict[str, Any] = {
        **{name: value for name, value in told.items() if value is not None},
        "attributes": dict(fields.attributes),
        "source": dict(fields.source),
        "tags": list(person.tags),
        "tracking": person.tracking,
        "last_seen_at": person.last_seen_at,
        **_columns(person.orders),
    }
    uow.contacts.update({contact_id: changes}, now)
    uow.consents.append(list(_agreed(contact_id, person)), now)
    return contact_id


def _columns(orders: OrderHistory) -> dict[str, Any]:
    return {
        "orders_count": orders.count,
        "orders_total": orders.total,
        "orders_first_at": orders.first_at,
        "orders_last_at": orders.last_at,
        "orders_skus": list(orders.skus),
        "orders_categories": list(orders.categories),
    }


def _agreed(contact_id: ContactId, person: Person) -> list[ConsentEntry]:
    """Consent that is in force already, confirmed where that is needed."""
    details, personal = ConsentEvidence(Actor.STAFF, "journey test").split()
    return [
        ConsentEntry(
            contact_id=contact_id,
            channel=channel,
            topic=topic,
            action=ConsentAction.GRANTED,
            legal_basis=LegalBasis.CONSENT,
            method=SOURCE,
            occurred_at=person.created_at,
            details=details,
            personal=personal,
        )
        for channel, topics in person.consent.items()
        for topic in topics
    ]


def event_of(happening: EventComes, person: Person, number: int) -> IncomingEvent:
    """An event as a source would read it; its contact is the test's unless it names another."""
    given = dict(happening.fields)
    if happening.type not in _NAMELESS:
        named = {name: person.fields.get(name) for name in ("id", "email", "phone")}
        given["contact"] = {**named, "country": person.fields.get("country"), **_own(given)}
    fields = read_fields(given, normalise_phone)
    return IncomingEvent(
        source=SOURCE,
        source_id=str(number),
        type=happening.type,
        occurred_at=happening.at,
        contact=fields.contact,
        payload=fields.payload,
        consent=fields.consent,
    )


def _own(given: Mapping[str, Any]) -> Mapping[str, Any]:
    contact = given.get("contact")
    return contact if isinstance(contact, dict) else {}
