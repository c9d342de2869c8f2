"""Checkouts and orders: which state is newer, and when a checkout has begun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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

TOLD: Final = "told_at"
"""The key of a state under which stands when fields were told that newer events left out."""
_DATA: Final = "data."


@dataclass(frozen=True, slots=True)
class CheckoutState:
    """The newest state of a checkout; `started_at` once `checkout.started` was emitted.

    A state holds of each field what the newest event said that named it, in whatever order
    the events arrived; `state_at` is when the newest event happened.
    """

    id: str
    contact_id: ContactId | None
    state: Mapping[str, Any]
    state_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What is known of it, as an event tells it."""
        return {name: value for name, value in self.state.items() if name != TOLD}


@dataclass(frozen=True, slots=True)
class OrderState:
    """The newest state of an order; `counted` while it is part of the person's history.

    Its state also says when it was placed, paid, cancelled and so on, as `STATUS_at`.
    """

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
    """The checkout after an event about it; an older event adds what newer ones left out."""
    completed_at = completion(payload)
    if before is None:
        return CheckoutState(
            checkout_id, contact_id, dict(payload), occurred_at, completed_at=completed_at
        )
    newer = occurred_at >= before.state_at
    people = (contact_id, before.contact_id) if newer else (before.contact_id, contact_id)
    return replace(
        before,
        contact_id=people[0] or people[1],
        state=_merged(before.state, before.state_at, payload, occurred_at),
        state_at=max(before.state_at, occurred_at),
        completed_at=min(filter(None, (before.completed_at, completed_at)), default=None),
    )


def completion(payload: Mapping[str, Any]) -> datetime | None:
    """When the shop says that a checkout became an order (`data.completed_at`, ISO 8601)."""
    data = payload.get("data")
    told = data.get("completed_at") if isinstance(data, Mapping) else None
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def completes(event_type: str, payload: Mapping[str, Any], began: object) -> bool:
    """Whether an event completes the checkout that another event (its names) was about."""
    return (
        event_type in CHECKOUT_TYPES
        and completion(payload) is not None
        and isinstance(began, Mapping)
        and began.get("type") in CHECKOUT_TYPES
        and began.get("checkout_id") == payload.get("checkout_id")
    )


def _merged(
    state: Mapping[str, Any], state_at: datetime, payload: Mapping[str, Any], occurred_at: datetime
) -> dict[str, Any]:
    """A state and an event in one: of each field what was told last."""
    fields = _apart({name: value for name, value in state.items() if name != TOLD})
    told = dict.fromkeys(fields, state_at)
    told |= {name: datetime.fromisoformat(text) for name, text in state.get(TOLD, {}).items()}
    for name, value in _apart(payload).items():
        if name not in told or occurred_at >= told[name]:
            fields[name], told[name] = value, occurred_at
    newest = max(state_at, occurred_at)
    older = {name: at.isoformat() for name, at in told.items() if at < newest}
    merged = _together(fields)
    return {**merged, TOLD: older} if older else merged


def _apart(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a payload, those under `data` one by one: each event brings its own."""
    data = payload.get("data")
    own = data if isinstance(data, Mapping) else {}
    fields = {name: value for name, value in payload.items() if name != "data"}
    return fields | {f"{_DATA}{name}": value for name, value in own.items()}


def _together(fields: Mapping[str, Any]) -> dict[str, Any]:
    payload = {name: value for name, value in fields.items() if not name.startswith(_DATA)}
    data = {
        name.removeprefix(_DATA): value for name, value in fields.items() if name.startswith(_DATA)
    }
    return {**payload, "data": data} if data else payload


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
    state = {**payload, f"{ORDER_STATUS[event_type]}_at": occurred_at.isoformat()}
    if before is not None:
        state = _merged(before.state, before.state_at, state, occurred_at)
    times = _status_times(state)
    return OrderState(
        id=order_id,
        # the first person told: it is counted in their history
        contact_id=(before and before.contact_id) or contact_id,
        checkout_id=state.get("checkout_id"),
        status=_status(times),
        state=state,
        state_at=max(times.values()),
        placed_at=times.get("placed"),
        counted=before is not None and before.counted,
    )


def _status_times(state: Mapping[str, Any]) -> dict[str, datetime]:
    """When an order was last said to be in each status, in the order of an order's life."""
    names = {status: f"{status}_at" for status in ORDER_STATUS.values()}
    return {
        status: datetime.fromisoformat(state[name])
        for status, name in names.items()
        if name in state
    }


def _status(times: Mapping[str, datetime]) -> str:
    """The status told last; of several at one moment the one later in an order's life.

    A cancelled order whose money is given back stays cancelled.
    """
    told = sorted(times, key=lambda status: times[status])
    return "cancelled" if told[-2:] == ["cancelled", "refunded"] else told[-1]


def count_order(
    history: OrderHistory, before: OrderState | None, order: OrderState
) -> tuple[OrderHistory, OrderState]:
    """A person's history with `order` in the place of its earlier state; without it if cancelled.

    Exact but for `first_at` and `last_at`, `skus` and `categories` of what was taken back while
    other orders stand: these need all orders, and stay as they are.
    """
    counted = order.status not in _NOT_COUNTED
    others = _without(history, before) if before is not None and before.counted else history
    return (_with(others, order) if counted else others), replace(order, counted=counted)


def _without(history: OrderHistory, order: OrderState) -> OrderHistory:
    if history.count <= 1:
        return OrderHistory()
    total = history.total - money(order.state.get("total"))
    return replace(history, count=history.count - 1, total=total)


def _with(history: OrderHistory, order: OrderState) -> OrderHistory:
    items = [item for item in order.state.get("items") or () if isinstance(item, Mapping)]
    bought_at = order.placed_at or min(_status_times(order.state).values())
    return OrderHistory(
        count=history.count + 1,
        total=history.total + money(order.state.get("total")),
        first_at=min(bought_at, history.first_at or bought_at),
        last_at=max(bought_at, history.last_at or bought_at),
        skus=_joined(history.skus, items, "sku"),
        categories=_joined(history.categories, items, "category"),
    )


def _joined(
    known: Iterable[str], items: Iterable[Mapping[str, Any]], field: str
) -> tuple[str, ...]:
    return tuple(sorted({*known, *(str(item[field]) for item in items if item.get(field))}))


def money(value: object) -> Decimal:
    """An amount as a decimal; what is none counts as zero."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)
