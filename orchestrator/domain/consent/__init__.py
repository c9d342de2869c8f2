"""The consent ledger: entries, their chain, and the state that follows from them."""

from __future__ import annotations

from orchestrator.domain.consent.answers import entries_for_event
from orchestrator.domain.consent.chain import (
    GENESIS,
    SALT_BYTES,
    Checkpoint,
    canonical,
    checkpoint_root,
    commitment_of,
    link_of,
    record_after,
)
from orchestrator.domain.consent.evidence import ConsentEvidence
from orchestrator.domain.consent.folding import (
    Permission,
    Standing,
    States,
    fold,
    is_known,
    is_stopped,
    permission,
)
from orchestrator.domain.consent.jurisdiction import (
    jurisdiction,
    jurisdiction_of,
    method_name,
    needs_confirmation,
    refusal_of_method,
)
from orchestrator.domain.consent.merging import carried_refusals
from orchestrator.domain.consent.records import (
    ALL_TOPICS,
    LAPSING,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentState,
    ConsentStatus,
    LedgerRecord,
    LegalBasis,
    Method,
    lapses_at,
)
from orchestrator.domain.consent.resuming import stopped_grants
from orchestrator.domain.consent.verification import Finding, VerifyReport

__all__ = [
    "ALL_TOPICS",
    "GENESIS",
    "LAPSING",
    "SALT_BYTES",
    "Actor",
    "Checkpoint",
    "ConsentAction",
    "ConsentEntry",
    "ConsentEvidence",
    "ConsentState",
    "ConsentStatus",
    "Finding",
    "LedgerRecord",
    "LegalBasis",
    "Method",
    "Permission",
    "Standing",
    "States",
    "VerifyReport",
    "canonical",
    "carried_refusals",
    "checkpoint_root",
    "commitment_of",
    "entries_for_event",
    "fold",
    "is_known",
    "is_stopped",
    "jurisdiction",
    "jurisdiction_of",
    "lapses_at",
    "link_of",
    "method_name",
    "needs_confirmation",
    "permission",
    "record_after",
    "refusal_of_method",
    "stopped_grants",
]
