"""What the services need from the world, as protocols."""

from __future__ import annotations

from orchestrator.ports.audiences import (
    Audience,
    Audiences,
    Difference,
    PrivacyVersion,
    PrivacyVersions,
    SegmentWatch,
)
from orchestrator.ports.clicks import Clicks
from orchestrator.ports.database import Database, DueCounts, Lane, UnitOfWork
from orchestrator.ports.edges import Delivery, DeliveryOutcome, Provider, ReplySource, Source
from orchestrator.ports.journeys import (
    Attempt,
    Coupons,
    Enrolments,
    Firings,
    MessageChange,
    MessageFilter,
    Messages,
    StoredVersion,
    Versions,
)
from orchestrator.ports.ledger import CheckpointSigner
from orchestrator.ports.overview import FlowTotals, Overview, SendCount
from orchestrator.ports.people import (
    Consents,
    Contacts,
    Events,
    NewEvent,
    Purchases,
    Suppressions,
    UsedTokens,
)
from orchestrator.ports.phones import PhoneNumbers
from orchestrator.ports.rendering import (
    ClickTarget,
    FlowLibrary,
    LinkClaims,
    LinkPurpose,
    LinkTokens,
    RenderedMessage,
    Renderer,
    RenderRequest,
)
from orchestrator.ports.runtime import Clock, Ids, Metrics
from orchestrator.ports.standings import Move, Standing, Standings, Waiting

__all__ = [
    "Attempt",
    "Audience",
    "Audiences",
    "CheckpointSigner",
    "ClickTarget",
    "Clicks",
    "Clock",
    "Consents",
    "Contacts",
    "Coupons",
    "Database",
    "Delivery",
    "DeliveryOutcome",
    "Difference",
    "DueCounts",
    "Enrolments",
    "Events",
    "Firings",
    "FlowLibrary",
    "FlowTotals",
    "Ids",
    "Lane",
    "LinkClaims",
    "LinkPurpose",
    "LinkTokens",
    "MessageChange",
    "MessageFilter",
    "Messages",
    "Metrics",
    "Move",
    "NewEvent",
    "Overview",
    "PhoneNumbers",
    "PrivacyVersion",
    "PrivacyVersions",
    "Provider",
    "Purchases",
    "RenderRequest",
    "RenderedMessage",
    "Renderer",
    "ReplySource",
    "SegmentWatch",
    "SendCount",
    "Source",
    "Standing",
    "Standings",
    "StoredVersion",
    "Suppressions",
    "UnitOfWork",
    "UsedTokens",
    "Versions",
    "Waiting",
]
