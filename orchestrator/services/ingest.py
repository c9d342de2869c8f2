"""Events in: stored once, with what they say of their person, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.domain.consent import ConsentEntry, ConsentStatus, entries_for_event
from orchestrator.domain.contacts import Contact
from orchestrator.domain.events import ContactFields, IncomingEvent
from orchestrator.domain.flows import FlowBook
from orchestrator.domain.identifiers import ContactId, EventId
from orchestrator.domain.purchases import (
    CHECKOUT_TYPES,
    ORDER_STATUS,
    CheckoutState,
    OrderState,
    checkout_after,
    count_order,
    order_after,
    starts_now,
)
from orchestrator.ports import Ids, NewEvent, UnitOfWork

OWN_SOURCE: Final = "orchestrator"
"""The source of events that follow from others."""

_TOLD: Final = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "locale",
    "timezone",
    "country",
)
_FUTURE: Final = timedelta(minutes=5)


@dataclass(slots=True)
class _Batch:
    """What a batch has found out so far."""

    uow: UnitOfWork
    book: FlowBook
    ids: Ids
    now: datetime
    people: dict[ContactId, Contact]
    changes: dict[ContactId, dict[str, Any]]
    checkouts: dict[str, CheckoutState]
    orders: dict[str, OrderState]
    ordered: set[str]
    emitted: list[NewEvent]
    starting: set[EventId]

    def change(self, contact_id: ContactId, **fields: Any) -> None:
        self.changes.setdefault(contact_id, {}).update(fields)


def ingest(
    uow: UnitOfWork, events: Sequence[IncomingEvent], book: FlowBook, ids: Ids, now: datetime
) -> list[bool]:
    """Store events with their effects; True for each that was new.

    An event that is known already, or stands twice in the batch, changes nothing. Contact
    rows are locked in one order, so two batches cannot deadlock.
    """
    fresh = _fresh(uow, events)
    rows = _identified(uow, [events[place] for place in fresh], ids, now)
    stored = uow.events.insert(rows)
    rows = [row for row in rows if row.id in stored]
    batch = _open(uow, rows, book, ids, now)
    for row in rows:
        _apply(batch, row)
    uow.contacts.update(batch.changes, now)
    uow.purchases.save_checkouts(list(batch.checkouts.values()))
    uow.purchases.save_orders(list(batch.orders.values()))
    _record_consent(batch, rows)
    uow.events.insert(batch.emitted)
    silent = [row.id for row in rows if not _is_heard(batch, row)]
    uow.events.mark_processed(silent, now)
    new = {(row.event.source, row.event.source_id) for row in rows}
    first = set(fresh)
    return [
        place in first and (event.source, event.source_id) in new
        for place, event in enumerate(events)
    ]


def _fresh(uow: UnitOfWork, events: Sequence[IncomingEvent]) -> list[int]:
    """The places of events that are neither stored nor earlier in the batch."""
    known = uow.events.known((event.source, event.source_id) for event in events)
    places: list[int] = []
    for place, event in enumerate(events):
        key = (event.source, event.source_id)
        if key not in known:
            known.add(key)
            places.append(place)
    return places


def _identified(
    uow: UnitOfWork, events: Sequence[IncomingEvent], ids: Ids, now: datetime
) -> list[NewEvent]:
    """Rows with the contact of each event found or created."""
    people = [event.contact for event in events if event.contact and event.contact.identified]
    found = iter(uow.contacts.resolve(people, now))
    rows: list[NewEvent] = []
    for event in events:
        named = event.contact is not None and event.contact.identified
        contact_id = next(found).contact_id if named else _named_by_purchase(uow, event)
        rows.append(NewEvent(EventId(ids.new()), contact_id, now, _not_in_future(event, now)))
    return rows


def _named_by_purchase(uow: UnitOfWork, event: IncomingEvent) -> ContactId | None:
    """Whose checkout or order it is, for an event that names nobody itself."""
    checkout_id, order_id = event.payload.get("checkout_id"), event.payload.get("order_id")
    if order_id and event.type in ORDER_STATUS:
        order = uow.purchases.orders([order_id]).get(order_id)
        if order and order.contact_id:
            return order.contact_id
    if checkout_id and (event.type in CHECKOUT_TYPES or event.type in ORDER_STATUS):
        checkout = uow.purchases.checkouts([checkout_id]).get(checkout_id)
        return checkout.contact_id if checkout else None
    return None


def _not_in_future(event: IncomingEvent, now: datetime) -> IncomingEvent:
    """A sender's clock that is ahead must not make later events look old."""
    late = event.occurred_at > now + _FUTURE
    return replace(event, occurred_at=now) if late else event


def _open(
    uow: UnitOfWork, rows: Sequence[NewEvent], book: FlowBook, ids: Ids, now: datetime
) -> _Batch:
    """Lock the people of the batch and read the purchases it is about."""
    people = uow.contacts.lock({row.contact_id for row in rows if row.contact_id})
    checkout_ids = {_text(row, "checkout_id") for row in rows} - {""}
    order_ids = {_text(row, "order_id") for row in rows if row.event.type in ORDER_STATUS} - {""}
    orders = uow.purchases.orders(order_ids)
    buyers = {order.contact_id for order in orders.values() if order.contact_id}
    people |= uow.contacts.lock(buyers - set(people))
    return _Batch(
        uow=uow,
        book=book,
        ids=ids,
        now=now,
        people=people,
        changes={},
        checkouts=uow.purchases.checkouts(checkout_ids),
        orders=orders,
        ordered=uow.purchases.ordered_checkouts(checkout_ids),
        emitted=[],
        starting=set(),
    )


def _text(row: NewEvent, field: str) -> str:
    value = row.event.payload.get(field)
    return value if isinstance(value, str) else ""


def _apply(batch: _Batch, row: NewEvent) -> None:
    if row.contact_id and row.event.contact:
        _apply_person(batch, row.contact_id, row.event.contact, row.event.occurred_at)
    if row.event.type in CHECKOUT_TYPES and _text(row, "checkout_id"):
        _apply_checkout(batch, row)
    elif row.event.type in ORDER_STATUS:
        _apply_order(batch, row)


def _apply_person(
    batch: _Batch, contact_id: ContactId, told: ContactFields, occurred_at: datetime
) -> None:
    """Newer words replace older ones; an older event only fills what is missing."""
    person = batch.people.get(contact_id)
    if person is None:
        return
    newer = person.last_seen_at is None or occurred_at >= person.last_seen_at
    changes: dict[str, Any] = {
        name: value
        for name in _TOLD
        if (value := getattr(told, name)) is not None
        and (newer or getattr(person, name) is None)
        and value != getattr(person, name)
    }
    for name in ("attributes", "source"):
        more = getattr(told, name)
        if more:
            known = getattr(person, name)
            changes[name] = {**known, **more} if newer else {**more, **known}
    if newer:
        changes["last_seen_at"] = occurred_at
    batch.people[contact_id] = replace(person, **changes)
    batch.change(contact_id, **changes)


def _apply_checkout(batch: _Batch, row: NewEvent) -> None:
    checkout_id = _text(row, "checkout_id")
    event = row.event
    checkout = checkout_after(
        batch.checkouts.get(checkout_id),
        checkout_id,
        row.contact_id,
        event.payload,
        event.occurred_at,
    )
    person = batch.people.get(checkout.contact_id) if checkout.contact_id else None
    reachable = person is not None and (person.email or person.phone) is not None
    begins = event.type != "checkout.expired" and starts_now(
        checkout, reachable=reachable, ordered=checkout_id in batch.ordered
    )
    if begins:
        checkout = replace(checkout, started_at=batch.now)
        if event.type == "checkout.started" and row.contact_id is not None:
            batch.starting.add(row.id)
        else:
            _emit(batch, "checkout.started", checkout_id, checkout.contact_id, row, checkout.fields)
    batch.checkouts[checkout_id] = checkout


def _apply_order(batch: _Batch, row: NewEvent) -> None:
    event = row.event
    order_id, checkout_id = _text(row, "order_id"), _text(row, "checkout_id")
    if checkout_id:
        batch.ordered.add(checkout_id)
        checkout = batch.checkouts.get(checkout_id)
        if checkout and checkout.completed_at is None:
            batch.checkouts[checkout_id] = replace(checkout, completed_at=event.occurred_at)
    if not order_id and not checkout_id:
        return
    # A shop that names only the checkout means the one order that came of it.
    order_id = order_id or f"checkout:{checkout_id}"
    if order_id not in batch.orders:
        batch.orders.update(batch.uow.purchases.orders([order_id]))
    before = batch.orders.get(order_id)
    order = order_after(
        before,
        order_id,
        row.contact_id,
        event.type,
        event.payload,
        event.occurred_at,
    )
    person = batch.people.get(order.contact_id) if order.contact_id else None
    if person is not None:
        history, order = count_order(person.orders, before, order)
        batch.people[person.id] = replace(person, orders=history)
        batch.change(
            person.id,
            orders_count=history.count,
            orders_total=history.total,
            orders_first_at=history.first_at,
            orders_last_at=history.last_at,
            orders_skus=list(history.skus),
            orders_categories=list(history.categories),
        )
    batch.orders[order_id] = order


def _is_heard(batch: _Batch, row: NewEvent) -> bool:
    """A checkout that has begun before, or is bought already, starts nothing again."""
    about_checkout = row.event.type == "checkout.started" and _text(row, "checkout_id")
    return not about_checkout or row.id in batch.starting


def _emit(
    batch: _Batch,
    event_type: str,
    name: str,
    contact_id: ContactId | None,
    cause: NewEvent,
    payload: Mapping[str, Any],
) -> None:
    event = IncomingEvent(
        source=OWN_SOURCE,
        source_id=f"{event_type}:{name}",
        type=event_type,
        occurred_at=cause.event.occurred_at,
        contact=None,
        payload=payload,
    )
    batch.emitted.append(NewEvent(EventId(batch.ids.new()), contact_id, batch.now, event))


def _record_consent(batch: _Batch, rows: Sequence[NewEvent]) -> None:
    """Write the ledger; where consent becomes usable, say so with `contact.confirmed`."""
    entries: list[ConsentEntry] = []
    causes: dict[ContactId, NewEvent] = {}
    for row in rows:
        person = batch.people.get(row.contact_id) if row.contact_id else None
        found = entries_for_event(row.event, person, batch.book, batch.now) if person else []
        if person and found:
            entries += found
            causes[person.id] = row
    usable: dict[ContactId, set[str]] = defaultdict(set)
    for state in batch.uow.consents.append(entries, batch.now):
        if state.status is ConsentStatus.GRANTED:
            usable[state.contact_id].add(state.topic)
    for contact_id, topics in usable.items():
        cause = causes[contact_id]
        payload = {"data": {"topics": sorted(topics)}}
        _emit(batch, "contact.confirmed", cause.id, contact_id, cause, payload)
