"""Checkouts and orders: which state is newer, and when a checkout has begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.identifiers import ContactId

CHECKOUT_TYPES: Final = frozenset({"checkout.started", "checkout.updated", "checkout.expired"})
ORDER_STATUS: Final = {
    "order.placed": "placed",
    "order.paid": "paid",
    "order.fulfilled": "fulfilled",
    "order.delivered": "delivered",
    "order.cancelled": "cancelled",
    "order.refunded": "refunded",
}
_NOT_COUNTED: Final = frozenset({"cancelled"})


@dataclass(frozen=True, slots=True)
class CheckoutState:
    """The newest state of a checkout; `started_at` once `checkout.started` was emitted."""

    id: str
    contact_id: ContactId | None
    state: Mapping[str, Any]
    state_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderState:
    """The newest state of an order; `counted` while it is part of the person's history."""

    id: str
    contact_id: ContactId | None
    checkout_id: str | None
    status: str
    state: Mapping[str, Any]
    state_at: datetime
    placed_at: datetime | None
    counted: bool = False


def checkout_after(
    before: CheckoutState | None,
    checkout_id: str,
    contact_id: ContactId | None,
    payload: Mapping[str, Any],
    occurred_at: datetime,
) -> CheckoutState:
    """The checkout after an event about it; an older event only adds the person."""
    if before is None:
        return CheckoutState(checkout_id, contact_id, dict(payload), occurred_at)
    known = before.contact_id or contact_id
    if occurred_at < before.state_at:
        return replace(before, contact_id=known)
    merged = {**before.state, **payload}
    return replace(before, contact_id=contact_id or known, state=merged, state_at=occurred_at)


def starts_now(checkout: CheckoutState, *, reachable: bool, ordered: bool) -> bool:
    """Whether `checkout.started` is due: once, with an address, and nothing bought yet."""
    fresh = checkout.started_at is None and checkout.completed_at is None
    return fresh and reachable and not ordered


def order_after(
    before: OrderState | None,
    order_id: str,
    contact_id: ContactId | None,
    event_type: str,
    payload: Mapping[str, Any],
    occurred_at: datetime,
) -> OrderState:
    """The order after an event about it; an older event never turns it back."""
    status = ORDER_STATUS[event_type]
    placed_at = occurred_at if status == "placed" else None
    checkout_id = payload.get("checkout_id")
    if before is None:
        return OrderState(
            order_id, contact_id, checkout_id, status, dict(payload), occurred_at, placed_at
        )
    known = replace(
        before,
        contact_id=before.contact_id or contact_id,
        checkout_id=before.checkout_id or checkout_id,
        placed_at=before.placed_at or placed_at,
    )
    if occurred_at < before.state_at:
        return replace(known, state={**payload, **before.state})
    merged = {**before.state, **payload}
    return replace(known, status=status, state=merged, state_at=occurred_at)


def count_order(history: OrderHistory, order: OrderState) -> tuple[OrderHistory, OrderState]:
    """A person's history with this order in it, or taken out of it where it was cancelled."""
    belongs = order.status not in _NOT_COUNTED
    if belongs == order.counted:
        return (_with_things(history, order) if belongs else history), order
    sign = 1 if belongs else -1
    placed_at = order.placed_at or order.state_at
    changed = replace(
        history,
        count=max(0, history.count + sign),
        total=history.total + sign * money(order.state.get("total")),
    )
    if belongs:
        changed = replace(
            _with_things(changed, order),
            first_at=min(placed_at, history.first_at or placed_at),
            last_at=max(placed_at, history.last_at or placed_at),
        )
    return changed, replace(order, counted=belongs)


def _with_things(history: OrderHistory, order: OrderState) -> OrderHistory:
    items = [item for item in order.state.get("items") or () if isinstance(item, Mapping)]
    skus = {*history.skus, *(str(item["sku"]) for item in items if item.get("sku"))}
    kinds = {*history.categories, *(str(i["category"]) for i in items if i.get("category"))}
    return replace(history, skus=tuple(sorted(skus)), categories=tuple(sorted(kinds)))


def money(value: object) -> Decimal:
    """An amount as a decimal; what is none counts as zero."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)
