"""What expressions and templates can see: one mapping of names per run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from orchestrator.domain.consent import ConsentState, permission
from orchestrator.domain.contacts import Contact
from orchestrator.domain.events import Event
from orchestrator.domain.expressions import EventCounter, Facts, divide, no_events
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.messages import Message, MessageState

_ARRIVED: Final = frozenset({MessageState.DELIVERED, MessageState.COMPLAINED})
_SHOWN: Final = {
    "sent": _ARRIVED | {MessageState.SENT, MessageState.BOUNCED},
    "delivered": _ARRIVED,
    "bounced": frozenset({MessageState.BOUNCED}),
}
"""What a send step says of its messages, by the states in which it is true of one."""


class Unread(Mapping[str, Any]):
    """A mapping that is made when somebody first looks into it: most steps ask for no names."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[str, Any]:
        return self._make()

    def __getitem__(self, name: str) -> Any:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def contact_names(
    contact: Contact, states: Iterable[ConsentState], topics: Iterable[str], now: datetime
) -> dict[str, Any]:
    """A contact as `contact.…` in expressions and templates."""
    orders = contact.orders
    return {
        **contact.attributes,
        "id": contact.external_id or contact.id,
        "email": contact.email,
        "phone": contact.phone,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "locale": contact.locale,
        "timezone": contact.timezone,
        "country": contact.country,
        "created_at": contact.created_at,
        "last_seen_at": contact.last_seen_at,
        "tags": contact.tags,
        "tracking": contact.tracking,
        "source": contact.source,
        "consent": _consent_names(states, topics, now),
        "orders": {
            "count": orders.count,
            "total": orders.total,
            "average": divide(orders.total, Decimal(orders.count)),
            "first_at": orders.first_at,
            "last_at": orders.last_at,
            "skus": orders.skus,
            "categories": orders.categories,
        },
    }


def _consent_names(
    states: Iterable[ConsentState], topics: Iterable[str], now: datetime
) -> dict[str, dict[str, bool]]:
    known, names = list(states), list(topics)
    return {
        channel.value: {topic: permission(known, channel, topic, now).allowed for topic in names}
        for channel in Channel
    }


def event_names(event: Event) -> dict[str, Any]:
    """An event as `event.…`: its own fields, and those of its payload."""
    return {
        **event.payload,
        "id": event.source_id,
        "type": event.type,
        "occurred_at": event.occurred_at,
    }


def output_names(
    outputs: Mapping[str, Any], messages: Sequence[Message]
) -> dict[str, dict[str, Any]]:
    """The outputs of a run's steps by step id: stored ones, and what its messages show."""
    names: dict[str, dict[str, Any]] = {
        step: dict(value) for step, value in outputs.items() if isinstance(value, Mapping)
    }
    for message in messages:
        known = names.setdefault(message.step, {})
        for word, states in _SHOWN.items():
            known[word] = known.get(word) is True or message.state in states
        known.setdefault("clicked", False)
        known.setdefault("replied", False)
    return names


def run_facts(
    book: FlowBook,
    names: Mapping[str, Any],
    now: datetime,
    outputs: Mapping[str, Any],
    counter: EventCounter = no_events,
) -> Facts:
    """The scope of one run: its names, its outputs, and the tables of the file.

    `counter` answers `count_events` for the run's person.
    """
    return Facts(
        now=now,
        names={**outputs, **names, "tables": book.tables},
        segments=book.segments,
        counter=counter,
    )
