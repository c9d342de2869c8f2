"""When two contacts turn out to be one: consent is never merged upwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from orchestrator.domain.consent.evidence import ConsentEvidence
from orchestrator.domain.consent.folding import States
from orchestrator.domain.consent.records import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentState,
    ConsentStatus,
    LegalBasis,
    Method,
)
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

_REFUSED: Final = {
    ConsentStatus.WITHDRAWN: (1, ConsentAction.WITHDRAWN),
    ConsentStatus.OBJECTED: (2, ConsentAction.OBJECTED),
}


def carried_refusals(
    contact_id: ContactId, before: Sequence[States], after: States, latest: datetime
) -> list[ConsentEntry]:
    """What the surviving contact's chain must add so that a merge grants nothing new.

    `before` holds the states of each contact as they were apart, `after` the fold of all their
    records, `latest` the time of the newest of these. Where one of them had said no, a newer
    yes of the other does not stand: a refusal dated `latest` is added, which only a consent
    given after that lifts. A grant that none of them had on its own lapses.
    """
    keys = sorted({key for states in (*before, after) for key in states})
    entries = []
    for key in keys:
        alone = [state for states in before if (state := _effective(states, key))]
        union = _effective(after, key)
        action = _missing(alone, union)
        if action is not None:
            entries.append(_entry(contact_id, key, action, latest, alone))
    return entries


def _effective(
    states: Mapping[tuple[Channel, str], ConsentState], key: tuple[Channel, str]
) -> ConsentState | None:
    return states.get(key) or states.get((key[0], ALL_TOPICS))


def _missing(alone: Iterable[ConsentState], union: ConsentState | None) -> ConsentAction | None:
    refusals = [_REFUSED[state.status] for state in alone if state.status in _REFUSED]
    standing = _REFUSED[union.status][0] if union and union.status in _REFUSED else 0
    rank, action = max(refusals, default=(0, None))
    if action is not None and rank > standing:
        return action
    granted = any(state.status is ConsentStatus.GRANTED for state in alone)
    if union and union.status is ConsentStatus.GRANTED and not granted:
        return ConsentAction.EXPIRED
    return None


def _entry(
    contact_id: ContactId,
    key: tuple[Channel, str],
    action: ConsentAction,
    latest: datetime,
    alone: Sequence[ConsentState],
) -> ConsentEntry:
    records = ", ".join(sorted({f"{state.subject_id}#{state.seq}" for state in alone}))
    details, personal = ConsentEvidence(
        actor=Actor.SYSTEM,
        collection_point="merge of contacts",
        reason="one of the contacts that became one had said no",
        evidence=f"records {records}",
    ).split()
    return ConsentEntry(
        contact_id=contact_id,
        channel=key[0],
        topic=key[1],
        action=action,
        legal_basis=LegalBasis.CONSENT,
        method=Method.MERGE,
        occurred_at=latest,
        details=details,
        personal=personal,
    )
