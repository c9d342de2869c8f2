"""Checkouts and orders in the database: the newest state of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, Table, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from orchestrator.domain.identifiers import shard_of
from orchestrator.domain.purchases import CheckoutState, OrderState
from orchestrator.storage.batches import AnyRow, listed, listing, takes_locks, upserting
from orchestrator.storage.tables import checkout, shop_order

K: Final = checkout.c
O: Final = shop_order.c  # noqa: E741 - as the other tables' letters
_CHECKOUT: Final = (K.id, K.contact_id, K.state, K.state_at, K.started_at, K.completed_at)
_ORDER: Final = (
    O.id,
    O.contact_id,
    O.checkout_id,
    O.status,
    O.state,
    O.state_at,
    O.placed_at,
    O.counted,
)
_CURRENCY_LETTERS: Final = 3  # ISO 4217


class SqlPurchases:
    """`ports.Purchases` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def checkouts(self, ids: Iterable[str]) -> dict[str, CheckoutState]:
        """Checkouts by id, locked until the transaction ends; so are ids not stored yet."""
        rows = self._locked(checkout, _CHECKOUT, ids)
        return {row.id: CheckoutState(*row) for row in rows}

    def orders(self, ids: Iterable[str]) -> dict[str, OrderState]:
        """Orders by id, locked until the transaction ends; so are ids not stored yet."""
        rows = self._locked(shop_order, _ORDER, ids)
        return {row.id: OrderState(*row) for row in rows}

    def ordered_checkouts(self, ids: Iterable[str]) -> set[str]:
        """Which checkouts an order is stored for."""
        wanted = list(ids)
        if not wanted:
            return set()
        dialect = self._connection.dialect.name
        values = {"ids": listing(dialect, O.checkout_id, wanted)}
        return set(self._connection.scalars(_ordered(dialect), values).all())

    def save_checkouts(self, states: Sequence[CheckoutState]) -> None:
        """Insert or replace."""
        self._save(checkout, [_checkout_row(one) for one in states])

    def save_orders(self, states: Sequence[OrderState]) -> None:
        """Insert or replace."""
        self._save(shop_order, [_order_row(one) for one in states])

    def _locked(self, table: Table, columns: tuple[Any, ...], ids: Iterable[str]) -> list[AnyRow]:
        wanted = sorted(set(ids))
        if not wanted:
            return []
        rows = self._rows(table, columns, wanted)
        missing = sorted(set(wanted) - {row.id for row in rows})
        if missing and takes_locks(self._connection):
            self._reserve(table, missing)
            rows += self._rows(table, columns, missing)
        return rows

    def _rows(self, table: Table, columns: tuple[Any, ...], ids: Sequence[str]) -> list[AnyRow]:
        dialect = self._connection.dialect.name
        wanted = _rows_by_id(dialect, table, columns, locked=takes_locks(self._connection))
        values = {"ids": listing(dialect, table.c.id, ids)}
        return list(self._connection.execute(wanted, values).all())

    def _reserve(self, table: Table, ids: Sequence[str]) -> None:
        """Lock ids that have no row yet: whoever comes second then finds the row of the first.

        Two ids with the same number only wait for each other. Held until the transaction
        ends, as PgBouncer's transaction mode asks.
        """
        texts = func.unnest(bindparam(None, list(ids), ARRAY(Text)))
        numbers = self._connection.scalars(select(func.hashtextextended(texts, _SALT[table.name])))
        array = bindparam(None, sorted(set(numbers)), ARRAY(BigInteger))
        self._connection.execute(select(func.pg_advisory_xact_lock(func.unnest(array)))).all()

    def _save(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        ordered = sorted(rows, key=lambda row: row["id"])
        names = tuple(name for name in rows[0] if name not in ("id", "shard"))
        self._connection.execute(
            upserting(self._connection, table, ("id", "shard"), names), ordered
        )


_SALT: Final = {"checkout": 1, "shop_order": 2}


@cache
def _ordered(dialect: str) -> Select[Any]:
    return select(O.checkout_id).where(listed(dialect, O.checkout_id)).distinct()


@cache
def _rows_by_id(
    dialect: str, table: Table, columns: tuple[Any, ...], *, locked: bool
) -> Select[Any]:
    wanted = select(*columns).where(listed(dialect, table.c.id)).order_by(table.c.id)
    return wanted.with_for_update() if locked else wanted


def _checkout_row(state: CheckoutState) -> dict[str, Any]:
    return {
        "id": state.id,
        "shard": shard_of(state.id),
        "contact_id": state.contact_id,
        "state": dict(state.state),
        "state_at": state.state_at,
        "started_at": state.started_at,
        "completed_at": state.completed_at,
    }


def _order_row(state: OrderState) -> dict[str, Any]:
    currency = state.state.get("currency")
    fits = isinstance(currency, str) and len(currency) == _CURRENCY_LETTERS
    return {
        "id": state.id,
        "shard": shard_of(state.id),
        "contact_id": state.contact_id,
        "checkout_id": state.checkout_id,
        "status": state.status,
        "total": _amount(state.state.get("total")),
        "currency": currency if fits else None,
        "state": dict(state.state),
        "state_at": state.state_at,
        "placed_at": state.placed_at,
        "counted": state.counted,
    }


def _amount(value: Any) -> Decimal | None:
    try:
        amount = Decimal(value if isinstance(value, str | int) else str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
