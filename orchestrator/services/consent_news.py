"""What the ledger's changes are for journeys: events that follow from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.consent import ConsentState, ConsentStatus
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, EventId
from orchestrator.ports import Ids, NewEvent
from orchestrator.services.ingest import OWN_SOURCE

_REFUSED: Final = (ConsentStatus.WITHDRAWN, ConsentStatus.OBJECTED)


def consent_news(changed: Sequence[ConsentState], ids: Ids, now: datetime) -> list[NewEvent]:
    """`contact.unsubscribed` by person and channel, `contact.confirmed` where consent is usable.

    They are for journeys alone: the ledger has it already.
    """
    usable: defaultdict[ContactId, set[str]] = defaultdict(set)
    refused: defaultdict[tuple[ContactId, Channel], set[str]] = defaultdict(set)
    for state in changed:
        if state.status is ConsentStatus.GRANTED:
            usable[state.contact_id].add(state.topic)
        elif state.status in _REFUSED:
            refused[state.contact_id, state.channel].add(state.topic)
    withdrawals = [
        _event("contact.unsubscribed", person, topics, ids, now, {"consent": {channel.value: "no"}})
        for (person, channel), topics in sorted(refused.items())
    ]
    grants = [
        _event("contact.confirmed", person, topics, ids, now, {})
        for person, topics in usable.items()
    ]
    return withdrawals + grants


def _event(  # its parts are all told
    event_type: str,
    contact_id: ContactId,
    topics: Iterable[str],
    ids: Ids,
    now: datetime,
    more: Mapping[str, Any],
) -> NewEvent:
    event_id = EventId(ids.new())
    event = IncomingEvent(
        source=OWN_SOURCE,
        source_id=f"{event_type}:{event_id}",
        type=event_type,
        occurred_at=now,
        contact=None,
        payload={**more, "data": {"topics": sorted(topics)}},
    )
    return NewEvent(event_id, contact_id, now, event)
