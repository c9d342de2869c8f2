"""What comes back when somebody who stopped by a word says START."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.domain.consent.folding import fold
from orchestrator.domain.consent.records import (
    ALL_TOPICS,
    ConsentAction,
    ConsentState,
    ConsentStatus,
    LedgerRecord,
    Method,
)
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

_REFUSALS = frozenset({ConsentAction.WITHDRAWN, ConsentAction.OBJECTED})


def stopped_grants(
    records: Sequence[LedgerRecord], contact_id: ContactId, channel: Channel, now: datetime
) -> list[ConsentState]:
    """The grants that the last STOP on a channel ended, as they stood before it.

    Nothing beyond: not what had been withdrawn before, was only asked for, has lapsed meanwhile,
    or was refused again after the STOP. Without a STOP there is nothing to come back.
    """
    mine = [record for record in records if record.channel is channel]
    stops = [
        place
        for place, record in enumerate(mine)
        if record.method == Method.KEYWORD
        and record.action is ConsentAction.WITHDRAWN
        and record.topic == ALL_TOPICS
    ]
    if not stops:
        return []
    stop, after = mine[stops[-1]], mine[stops[-1] + 1 :]
    # One that was given earlier and came later had never been in force.
    before = [one for one in mine[: stops[-1]] if one.recorded_at <= stop.recorded_at]
    refused = {record.topic for record in after if record.action in _REFUSALS}
    return [
        state
        for state in fold(before, contact_id).values()
        if state.status is ConsentStatus.GRANTED
        and (state.expires_at is None or state.expires_at > now)
        and not refused & {state.topic, ALL_TOPICS}
    ]
