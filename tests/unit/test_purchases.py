from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.identifiers import ContactId
from orchestrator.domain.purchases import (
    ORDER_STATUS,
    TOLD,
    CheckoutState,
    OrderState,
    checkout_after,
    count_order,
    money,
    order_after,
    starts_now,
)

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ADA = ContactId("ada")
LIFE = tuple(ORDER_STATUS)


@dataclass(frozen=True)
class Told:
    """An event about one order or checkout: its type, its minute, and what it says."""

    type: str
    minute: int
    payload: dict[str, Any]
    contact_id: ContactId | None = ADA

    @property
    def at(self) -> datetime:
        return START + timedelta(minutes=self.minute)


def checkout_of(events: Sequence[Told]) -> CheckoutState:
    checkout: CheckoutState | None = None
    for told in events:
        checkout = checkout_after(checkout, "c1", told.contact_id, told.payload, told.at)
    assert checkout is not None
    return checkout


def order_of(
    events: Sequence[Told], history: OrderHistory | None = None
) -> tuple[OrderState, OrderHistory]:
    """An order and its buyer's history after events in the order of arrival."""
    order: OrderState | None = None
    history = history or OrderHistory()
    for told in events:
        before = order
        order = order_after(before, "o1", told.contact_id, told.type, told.payload, told.at)
        if order.contact_id is not None:
            history, order = count_order(history, before, order)
    assert order is not None
    return order, history


ITEMS: list[dict[str, Any]] = [
    {"sku": "COF-1KG", "category": "coffee"},
    {"sku": "TEA-1KG", "category": "tea"},
    {"name": "Gift card"},
]
FIELDS = {
    "total": st.sampled_from(["10.00", "20.50", "31.25"]),
    "currency": st.sampled_from(["EUR", "SEK"]),
    "items": st.lists(st.sampled_from(ITEMS), max_size=2),
    "checkout_url": st.sampled_from(["https://a.example", "https://b.example"]),
    "data": st.dictionaries(st.sampled_from(["name", "refund"]), st.integers(0, 3), min_size=1)
    | st.builds(
        lambda at: {"completed_at": (START + at).isoformat()},
        st.timedeltas(timedelta(), timedelta(days=1)),
    ),
}
payloads = st.fixed_dictionaries({"checkout_id": st.just("c1")}, optional=FIELDS)


def _told_once(types: Sequence[str]) -> st.SearchStrategy[list[Told]]:
    """Events at different minutes."""
    return st.lists(
        st.builds(
            Told,
            st.sampled_from(types),
            st.integers(0, 30),
            payloads,
            st.sampled_from([ADA, ADA, None]),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda told: told.minute,
    )


@st.composite
def arrivals(draw: st.DrawFn, types: Sequence[str]) -> tuple[list[Told], list[Told]]:
    """Events in the order in which they happened, and in one in which they may arrive."""
    events = draw(_told_once(types))
    return sorted(events, key=lambda told: told.minute), draw(st.permutations(events))


# checkouts --------------------------------------------------------------------------------


@given(arrivals(["checkout.started", "checkout.updated", "checkout.expired"]))
def test_a_checkout_does_not_depend_on_the_order_of_arrival(
    both: tuple[list[Told], list[Told]],
) -> None:
    happened, arrived = both
    assert checkout_of(arrived) == checkout_of(happened)


def test_an_older_state_of_a_checkout_never_overwrites_a_newer_one() -> None:
    newer = Told("checkout.updated", 5, {"total": "20.00"})
    older = Told("checkout.started", 1, {"total": "10.00", "currency": "EUR"})
    checkout = checkout_of([newer, older])
    assert checkout.state["total"] == "20.00"
    assert checkout.state["currency"] == "EUR"
    assert checkout.state_at == newer.at


def test_a_field_that_newer_events_leave_out_is_the_newest_that_was_told() -> None:
    first = Told("checkout.started", 1, {"total": "10.00"})
    bare = Told("checkout.expired", 9, {"checkout_id": "c1"})
    between = Told("checkout.updated", 5, {"total": "20.00"})
    checkout = checkout_of([first, bare, between])
    assert checkout.fields == {"total": "20.00", "checkout_id": "c1"}


def test_each_key_of_data_is_the_newest_that_was_told() -> None:
    placed = Told("checkout.started", 1, {"data": {"name": "#1043", "note": "old"}})
    later = Told("checkout.updated", 5, {"data": {"note": "new", "carrier": "Posti"}})
    wanted = {"name": "#1043", "note": "new", "carrier": "Posti"}
    assert checkout_of([placed, later]).fields == {"data": wanted}
    assert checkout_of([later, placed]).fields == {"data": wanted}


@pytest.mark.parametrize(
    ("told", "completed"),
    [
        ("2026-11-20T08:05:00+00:00", True),
        ("2026-11-20T10:05:00+02:00", True),
        ("2026-11-20T08:05:00", True),
        ("soon", False),
        (None, False),
        (True, False),
    ],
)
def test_a_checkout_is_completed_when_the_shop_says_so(told: Any, completed: bool) -> None:
    first = Told("checkout.started", 0, {"total": "1.00"})
    second = Told("checkout.updated", 6, {"data": {"completed_at": told}})
    wanted = START + timedelta(minutes=5) if completed else None
    for events in ([second], [first, second], [second, first]):
        checkout = checkout_of(events)
        assert checkout.completed_at == wanted
        assert starts_now(checkout, reachable=True, ordered=False) is not completed


def test_a_state_told_whole_holds_nothing_but_its_fields() -> None:
    first = Told("checkout.started", 1, {"total": "10.00"})
    second = Told("checkout.updated", 5, {"total": "20.00"})
    assert checkout_of([first, second]).state == {"total": "20.00"}
    assert TOLD not in checkout_of([second, first]).state


def test_an_older_event_still_adds_the_person() -> None:
    anonymous = Told("checkout.updated", 5, {}, contact_id=None)
    named = Told("checkout.started", 1, {})
    assert checkout_of([anonymous, named]).contact_id == ADA


def test_the_newest_person_told_has_the_checkout() -> None:
    guest = Told("checkout.started", 1, {}, contact_id=ContactId("guest"))
    assert checkout_of([guest, Told("checkout.updated", 5, {})]).contact_id == ADA
    assert checkout_of([Told("checkout.updated", 5, {}), guest]).contact_id == ADA


@pytest.mark.parametrize("reachable", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("completed", [False, True])
def test_a_checkout_starts_once_with_an_address_and_only_if_nothing_is_bought(
    reachable: bool, ordered: bool, started: bool, completed: bool
) -> None:
    checkout = replace(
        checkout_of([Told("checkout.updated", 1, {})]),
        started_at=START if started else None,
        completed_at=START if completed else None,
    )
    begins = starts_now(checkout, reachable=reachable, ordered=ordered)
    assert begins is (reachable and not (ordered or started or completed))


def test_of_two_events_at_one_moment_the_later_to_arrive_tells_the_state() -> None:
    one = Told("checkout.updated", 1, {"total": "10.00"}, contact_id=ContactId("guest"))
    other = Told("checkout.updated", 1, {"total": "20.00"})
    checkout = checkout_of([one, other])
    assert (checkout.state, checkout.contact_id) == ({"total": "20.00"}, ADA)


def test_what_has_started_or_is_completed_stays_so() -> None:
    begun = replace(
        checkout_of([Told("checkout.started", 1, {})]), started_at=START, completed_at=START
    )
    for minute in (0, 5):
        again = checkout_after(begun, "c1", ADA, {}, START + timedelta(minutes=minute))
        assert (again.started_at, again.completed_at) == (START, START)


# orders -----------------------------------------------------------------------------------


@given(arrivals(LIFE))
def test_an_order_and_its_history_do_not_depend_on_the_order_of_arrival(
    both: tuple[list[Told], list[Told]],
) -> None:
    happened, arrived = both
    assert order_of(arrived) == order_of(happened)


@given(arrivals(LIFE), st.integers(1, 5))
def test_beside_other_orders_counts_and_totals_do_not_depend_on_the_order_of_arrival(
    both: tuple[list[Told], list[Told]], others: int
) -> None:
    earlier = OrderHistory(count=others, total=Decimal("99.90"), first_at=START, last_at=START)
    (_, one), (_, other) = (order_of(events, earlier) for events in both)
    assert (one.count, one.total) == (other.count, other.total)


@given(_told_once(LIFE))
def test_an_order_is_counted_once_with_its_newest_total_unless_it_is_cancelled(
    events: list[Told],
) -> None:
    order, history = order_of(events)
    counted = order.contact_id is not None and order.status != "cancelled"
    assert history.count == int(counted)
    assert history.total == (money(order.state.get("total")) if counted else 0)
    assert order.counted is counted


@given(_told_once(LIFE))
def test_the_newest_event_tells_the_status(events: list[Told]) -> None:
    order, _ = order_of(events)
    newest = [told.type for told in sorted(events, key=lambda told: told.minute)]
    refund_of_cancelled = newest[-1] == "order.refunded" and order.status == "cancelled"
    assert refund_of_cancelled or order.status == ORDER_STATUS[newest[-1]]


def test_the_refund_of_a_cancelled_order_does_not_count_it_again() -> None:
    events = [
        Told("order.placed", 0, {"total": "20.00"}),
        Told("order.cancelled", 5, {}),
        Told("order.refunded", 6, {}),
    ]
    for arrived in (events, events[::-1]):
        order, history = order_of(arrived)
        assert order.status == "cancelled"
        assert history == OrderHistory()


def test_a_refunded_order_stays_bought() -> None:
    events = [Told("order.placed", 0, {"total": "20.00"}), Told("order.refunded", 6, {})]
    order, history = order_of(events)
    assert order.status == "refunded"
    assert (history.count, history.total) == (1, Decimal("20.00"))


def test_of_two_events_at_one_moment_the_later_in_an_orders_life_tells_the_status() -> None:
    placed, paid = Told("order.placed", 0, {}), Told("order.paid", 0, {})
    assert order_of([placed, paid])[0].status == "paid"
    assert order_of([paid, placed])[0].status == "paid"


def test_a_total_that_changes_is_counted_as_it_is_now() -> None:
    events = [
        Told("order.placed", 0, {"total": "40.00"}),
        Told("order.paid", 1, {"total": "45.00"}),
    ]
    assert order_of(events)[1].total == Decimal("45.00")
    cancelled = [*events, Told("order.cancelled", 2, {})]
    assert order_of(cancelled)[1].total == 0


def test_an_order_is_known_by_when_it_was_placed() -> None:
    events = [Told("order.paid", 5, {}), Told("order.placed", 1, {})]
    order, history = order_of(events)
    assert order.placed_at == events[1].at
    assert (history.first_at, history.last_at) == (events[1].at, events[1].at)


def test_an_order_first_heard_of_when_paid_was_bought_then() -> None:
    order, history = order_of([Told("order.paid", 5, {}), Told("order.delivered", 9, {})])
    assert order.placed_at is None
    assert history.last_at == START + timedelta(minutes=5)


def test_a_cancelled_order_leaves_the_others_as_they_were() -> None:
    earlier = OrderHistory(2, Decimal("50.00"), START, START, ("A",), ("x",))
    events = [Told("order.placed", 5, {"total": "20.00"}), Told("order.cancelled", 6, {})]
    _, history = order_of(events, earlier)
    assert (history.count, history.total) == (2, Decimal("50.00"))
    assert history.skus == ("A",)


def test_beside_another_order_a_cancelled_one_leaves_the_first_and_last_as_they_are() -> None:
    earlier = OrderHistory(1, Decimal("50.00"), START, START)
    events = [Told("order.placed", 5, {"total": "20.00"}), Told("order.cancelled", 6, {})]
    assert order_of(events, earlier)[1] == replace(earlier, last_at=events[0].at)


def test_the_first_and_the_last_order_are_known_in_whatever_order_they_come() -> None:
    early, late = START - timedelta(days=9), START + timedelta(days=9)
    for first_at, last_at in ((early, early), (late, late), (early, late)):
        known = OrderHistory(2, Decimal(0), first_at, last_at)
        _, history = order_of([Told("order.placed", 0, {})], known)
        assert history.first_at == min(first_at, START)
        assert history.last_at == max(last_at, START)


def test_things_bought_are_remembered_once_and_in_order() -> None:
    told = {"items": [*ITEMS, *ITEMS, "no item", {"sku": None, "category": ""}]}
    _, history = order_of([Told("order.placed", 0, told)])
    assert history.skus == ("COF-1KG", "TEA-1KG")
    assert history.categories == ("coffee", "tea")


def test_an_order_that_names_nobody_counts_once_its_buyer_is_known() -> None:
    anonymous = Told("order.placed", 0, {"total": "20.00"}, contact_id=None)
    order, history = order_of([anonymous])
    assert (order.counted, history) == (False, OrderHistory())
    order, history = order_of([anonymous, Told("order.paid", 1, {})])
    assert order.counted
    assert (history.count, history.total) == (1, Decimal("20.00"))


def test_an_order_stays_in_the_history_of_the_person_first_told() -> None:
    first = order_after(None, "o1", ADA, "order.placed", {}, START)
    other = order_after(first, "o1", ContactId("guest"), "order.paid", {}, START)
    assert other.contact_id == ADA


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("20.50", Decimal("20.50")),
        (20, Decimal(20)),
        (None, Decimal(0)),
        ("", Decimal(0)),
        ("free", Decimal(0)),
        ("NaN", Decimal(0)),
        ("Infinity", Decimal(0)),
        (True, Decimal(0)),
        ([], Decimal(0)),
    ],
)
def test_what_is_no_amount_counts_as_nothing(value: object, amount: Decimal) -> None:
    assert money(value) == amount
