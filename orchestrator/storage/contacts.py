"""People in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Update, bindparam, func, select, update

from orchestrator.domain.contacts import Contact, OrderHistory, Resolution
from orchestrator.domain.events import ContactFields
from orchestrator.domain.identifiers import ContactId
from orchestrator.ports.runtime import Ids
from orchestrator.storage.batches import AnyRow, listed, listing, lock_rows, recorded, recording
from orchestrator.storage.merging import Refold
from orchestrator.storage.resolution import Resolver
from orchestrator.storage.tables import contact, contact_identity
from orchestrator.storage.types import UtcDateTime

C: Final = contact.c
I: Final = contact_identity.c  # noqa: E741 - as the other tables' letters
_FIXED: Final = frozenset({"id", "shard", "created_at", "updated_at"})
_EXTERNAL_ID: Final = (
    select(func.min(I.value)).where(I.contact_id == C.id, I.kind == "id").scalar_subquery()
)


class SqlContacts:
    """`ports.Contacts` on one connection; `refold` renews the consent of merged contacts."""

    def __init__(self, connection: Connection, ids: Ids, refold: Refold) -> None:
        self._connection = connection
        self._ids = ids
        self._refold = refold

    def resolve(self, people: Sequence[ContactFields], now: datetime) -> list[Resolution]:
        """Find or create the contact of each, in the order given; identities are normalised.

        The contacts are locked until the transaction ends; an empty email or phone is filled
        from the identity. Raises ValueError for somebody without any identity.
        """
        return Resolver(self._connection, self._ids, self._refold, now).resolve(people)

    def find(self, kind: str, value: str) -> ContactId | None:
        """The contact an identity leads to."""
        found: ContactId | None = self._connection.scalar(
            select(I.contact_id).where(I.kind == kind, I.value == value)
        )
        return found

    def at_phone(self, number: str) -> list[ContactId]:
        """Everybody who is reached at a telephone number, or was recognised by it; by id."""
        reached = select(C.id).where(C.phone == number)
        known = select(I.contact_id).where(I.kind == "phone", I.value == number)
        found = select(C.id).where(C.id.in_(reached.union(known)), C.merged_into.is_(None))
        alive = found.where(C.erased_at.is_(None)).order_by(C.id)
        return list(self._connection.scalars(alive))

    def load(self, ids: Iterable[ContactId]) -> dict[ContactId, Contact]:
        """Contacts by id; ids that do not exist are left out."""
        wanted = list(ids)
        if not wanted:
            return {}
        dialect = self._connection.dialect.name
        return self._read(_people_by_id(dialect), {"ids": listing(dialect, C.id, wanted)})

    def page(self, after: ContactId | None, limit: int) -> list[Contact]:
        """Up to `limit` contacts in the order of their ids, beyond `after`."""
        wanted = _people().order_by(C.id).limit(limit)
        if after is not None:
            wanted = wanted.where(C.id > after)
        return list(self._read(wanted).values())

    def lock(self, ids: Iterable[ContactId]) -> dict[ContactId, Contact]:
        """Like `load`, holding each row's lock until the transaction ends; in order of id."""
        # Two statements: one alone would look up the shop's id before it has the lock.
        wanted = list(ids)
        if wanted:
            lock_rows(self._connection, contact, wanted)
        return self.load(wanted)

    def update(self, changes: Mapping[ContactId, Mapping[str, Any]], now: datetime) -> None:
        """Write columns of contacts: `email`, `orders_count`, `tags` and so on.

        Raises ValueError for a column that does not exist or is not to be changed.
        """
        alike: dict[frozenset[str], list[dict[str, Any]]] = defaultdict(list)
        for one, values in changes.items():
            if values:
                alike[frozenset(values)].append({**values, "id": one})
        lock_rows(self._connection, contact, changes)
        for names, rows in alike.items():
            self._write(sorted(names), rows, now)

    def _write(self, names: Sequence[str], rows: Sequence[dict[str, Any]], now: datetime) -> None:
        if unknown := [name for name in names if name not in C or name in _FIXED]:
            raise ValueError(f"no column of a contact to write: {', '.join(unknown)}")
        dialect = self._connection.dialect.name
        columns = [C.id, *(C[name] for name in names)]
        values = {"rows": recording(dialect, columns, rows), "at": now}
        self._connection.execute(_writing(dialect, tuple(names)), values)

    def _read(
        self, wanted: Select[Any], values: Mapping[str, Any] | None = None
    ) -> dict[ContactId, Contact]:
        rows = self._connection.execute(wanted, values).all()
        return {row.id: _contact(row) for row in rows}


def _people() -> Select[Any]:
    return select(contact, _EXTERNAL_ID.label("external_id"))


@cache
def _writing(dialect: str, names: tuple[str, ...]) -> Update:
    new = recorded(dialect, [C.id, *(C[name] for name in names)])
    at = bindparam("at", type_=UtcDateTime())
    changed = {name: new.c[name] for name in names}
    return update(contact).where(C.id == new.c.id).values(changed).values(updated_at=at)


@cache
def _people_by_id(dialect: str) -> Select[Any]:
    return _people().where(listed(dialect, C.id))


def _contact(row: AnyRow) -> Contact:
    return Contact(
        id=row.id,
        email=row.email,
        phone=row.phone,
        first_name=row.first_name,
        last_name=row.last_name,
        locale=row.locale,
        timezone=row.timezone,
        country=row.country,
        tracking=row.tracking,
        tags=tuple(row.tags),
        attributes=row.attributes,
        source=row.source,
        orders=OrderHistory(
            count=row.orders_count,
            total=row.orders_total,
            first_at=row.orders_first_at,
            last_at=row.orders_last_at,
            skus=tuple(row.orders_skus),
            categories=tuple(row.orders_categories),
        ),
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        erased_at=row.erased_at,
        merged_into=row.merged_into,
        external_id=row.external_id,
    )
