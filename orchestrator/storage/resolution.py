"""From identities to contacts: find, create, and see that two contacts are one person.

Identities are inserted in sorted order before any contact is locked, contacts are locked in
order of id: two batches at work on the same people wait for each other, never in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, insert, select, update

from orchestrator.domain.contacts import IDENTITY_KINDS, Resolution
from orchestrator.domain.events import ContactFields
from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.ports.runtime import Ids
from orchestrator.storage.batches import (
    AnyRow,
    among,
    inserting_new,
    listed,
    listing,
    recorded,
    recording,
)
from orchestrator.storage.failures import Overtaken
from orchestrator.storage.merging import Refold, merge
from orchestrator.storage.tables import contact, contact_identity

Identity = tuple[str, str]
Owners = Mapping[Identity, ContactId]

C: Final = contact.c
I: Final = contact_identity.c  # noqa: E741 - as the other tables' letters
PHONE: Final = "phone"
_ROUNDS: Final = 5
_SAID: Final = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "locale",
    "timezone",
    "country",
)
_IDENTITY: Final = (I.kind, I.value)
_NEW_CONTACT: Final = insert(contact)


@cache
def _identities_among(dialect: str) -> Select[Any]:
    asked = recorded(dialect, _IDENTITY)
    mine = (I.kind == asked.c.kind) & (I.value == asked.c.value)
    return select(*_IDENTITY, I.contact_id).join(asked, mine)


@cache
def _stronger_of(dialect: str) -> Select[Any]:
    mine = select(I.contact_id, I.kind, I.value).where(listed(dialect, I.contact_id))
    return mine.where(I.kind != PHONE)


@cache
def _people_to_lock(dialect: str) -> Select[Any]:
    wanted = select(C.id, C.created_at, C.email, C.phone, C.merged_into, C.erased_at)
    return wanted.where(listed(dialect, C.id)).order_by(C.id).with_for_update()


@dataclass
class _Person:
    """People of the batch who share an identity: one person."""

    places: list[int] = field(default_factory=list)
    identities: set[Identity] = field(default_factory=set)


class Resolver:
    """One batch on one connection."""

    def __init__(self, connection: Connection, ids: Ids, refold: Refold, now: datetime) -> None:
        self._connection = connection
        self._ids = ids
        self._refold = refold
        self._now = now
        self._fresh: set[ContactId] = set()

    def resolve(self, people: Sequence[ContactFields]) -> list[Resolution]:
        """The contact of each, locked; see `ports.Contacts.resolve`."""
        told = [_identities(person) for person in people]
        for _ in range(_ROUNDS):
            keys = self._unshared(told)
            owners = self._claimed(keys)
            if self._unshared(told) != keys:
                continue  # another batch gave a phone to somebody meanwhile
            known = self._locked(set(owners.values()) - self._fresh)
            if not self._moved(known):
                return self._settled(people, keys, owners, known)
        raise Overtaken("contacts were merged again and again meanwhile")

    def _unshared(self, told: Sequence[Sequence[Identity]]) -> list[list[Identity]]:
        """Identities without the phones of somebody else.

        A family shares a telephone, and shops fill in their own: a phone says who somebody is
        only where nothing stronger contradicts it.
        """
        phones = {one for identities in told for one in identities if one[0] == PHONE}
        if not phones:
            return [list(identities) for identities in told]
        owners = self._owners(sorted(phones))
        stronger = self._stronger(set(owners.values()))
        holders = {phone: [stronger.get(owner, {})] for phone, owner in owners.items()}
        keys = []
        for identities in told:
            own = dict(one for one in identities if one[0] != PHONE)
            kept = [one for one in identities if one[0] != PHONE]
            for phone in (one for one in identities if one[0] == PHONE):
                others = holders.setdefault(phone, [])
                if not any(_contradicts(own, other) for other in others):
                    kept.append(phone)
                    others.append({kind: {value} for kind, value in own.items()})
            # A phone alone still leads to whoever holds it.
            keys.append(kept or list(identities))
        return keys

    def _stronger(self, ids: set[ContactId]) -> dict[ContactId, dict[str, set[str]]]:
        """The ids and email addresses by which contacts are known."""
        found: dict[ContactId, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        if ids:
            dialect = self._connection.dialect.name
            wanted = {"ids": listing(dialect, I.contact_id, ids)}
            for row in self._connection.execute(_stronger_of(dialect), wanted).all():
                found[row.contact_id][row.kind].add(row.value)
        return found

    def _claimed(self, keys: Sequence[Sequence[Identity]]) -> Owners:
        """Who each identity leads to, with new contacts for those nobody had."""
        wanted = sorted({one for identities in keys for one in identities})
        owners = self._owners(wanted)
        if len(owners) == len(wanted):
            return owners
        rows = []
        for person in _people(keys, owners):
            found = min((owners[one] for one in person.identities if one in owners), default=None)
            owner = found or self._new_id()
            rows += [
                self._identity_row(one, owner) for one in person.identities if one not in owners
            ]
        rows.sort(key=lambda row: (row["kind"], row["value"]))
        if len(self._insert_identities(rows)) == len(rows):
            return {**owners, **{(row["kind"], row["value"]): row["contact_id"] for row in rows}}
        return self._owners(wanted)  # another batch was quicker

    def _insert_identities(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        """Insert what nobody has; returns the value of each that went in."""
        statement = inserting_new(self._connection, contact_identity, I.value)
        return list(self._connection.scalars(statement, rows).all())

    def _new_id(self) -> ContactId:
        new = ContactId(self._ids.new())
        self._fresh.add(new)
        return new

    def _identity_row(self, identity: Identity, owner: ContactId) -> dict[str, Any]:
        kind, value = identity
        return {
            "kind": kind,
            "value": value,
            "shard": shard_of(f"{kind}/{value}"),
            "contact_id": owner,
            "created_at": self._now,
        }

    def _owners(self, wanted: Iterable[Identity]) -> Owners:
        asked = [{"kind": kind, "value": value} for kind, value in wanted]
        if not asked:
            return {}
        dialect = self._connection.dialect.name
        rows = {"rows": recording(dialect, _IDENTITY, asked)}
        found = self._connection.execute(_identities_among(dialect), rows)
        return {(row.kind, row.value): row.contact_id for row in found}

    def _locked(self, ids: Iterable[ContactId]) -> dict[ContactId, AnyRow]:
        wanted_ids = list(ids)
        if not wanted_ids:
            return {}
        dialect = self._connection.dialect.name
        wanted = {"ids": listing(dialect, C.id, wanted_ids)}
        return {row.id: row for row in self._connection.execute(_people_to_lock(dialect), wanted)}

    def _moved(self, known: Mapping[ContactId, AnyRow]) -> bool:
        """Whether somebody merged or erased a contact before we had its lock.

        Identities which we gave it meanwhile follow the merge, or are free again.
        """
        gone = [row for row in known.values() if row.merged_into or row.erased_at]
        for row in gone:
            mine = I.contact_id == row.id
            if row.merged_into:
                follow = update(contact_identity).where(mine).values(contact_id=row.merged_into)
                self._connection.execute(follow)
            else:
                self._connection.execute(delete(contact_identity).where(mine))
        return bool(gone)

    def _settled(
        self,
        people: Sequence[ContactFields],
        keys: Sequence[Sequence[Identity]],
        owners: Owners,
        known: Mapping[ContactId, AnyRow],
    ) -> list[Resolution]:
        """Create, merge and fill; every person now has one contact."""
        found: dict[int, Resolution] = {}
        creations = []
        for person in _people(keys, owners):
            told = [people[place] for place in person.places]
            ids = {owners[one] for one in person.identities}
            old = sorted(ids & known.keys(), key=lambda one: (known[one].created_at, one))
            kept = old[0] if old else min(ids)
            self._repoint(ids - known.keys() - {kept}, kept)
            if old:
                self._fill(known[kept], told)
            else:
                creations.append(self._contact_row(kept, told))
            for merged in old[1:]:
                kind = next(one[0] for one in sorted(person.identities) if owners[one] == merged)
                merge(self._connection, kept, merged, kind, self._now, self._refold)
            first, *others = person.places
            found[first] = Resolution(kept, created=not old, merged=tuple(old[1:]))
            found |= {place: Resolution(kept) for place in others}
        if creations:
            self._connection.execute(_NEW_CONTACT, creations)
        return [found[place] for place in range(len(people))]

    def _repoint(self, losers: set[ContactId], kept: ContactId) -> None:
        """Identities of contacts that were never made, because another batch was quicker."""
        if losers:
            self._connection.execute(
                update(contact_identity)
                .where(among(self._connection, I.contact_id, losers))
                .values(contact_id=kept)
            )

    def _fill(self, row: AnyRow, told: Sequence[ContactFields]) -> None:
        missing = {
            name: value
            for name in ("email", "phone")
            if getattr(row, name) is None and (value := _first(told, name)) is not None
        }
        if missing:
            self._connection.execute(
                update(contact).where(C.id == row.id).values(**missing, updated_at=self._now)
            )

    def _contact_row(self, new: ContactId, told: Sequence[ContactFields]) -> dict[str, Any]:
        return {
            "id": new,
            "shard": shard_of(new),
            **{name: _first(told, name) for name in _SAID},
            "tracking": False,
            "tags": [],
            "attributes": _together([one.attributes for one in told]),
            "source": _together([one.source for one in told]),
            "orders_count": 0,
            "orders_total": Decimal(0),
            "orders_skus": [],
            "orders_categories": [],
            "created_at": self._now,
            "updated_at": self._now,
        }


def _contradicts(own: Mapping[str, str], other: Mapping[str, set[str]]) -> bool:
    """Whether the strongest thing known of both is not the same."""
    for kind in ("email", "id"):
        if kind in own and other.get(kind):
            return own[kind] not in other[kind]
    return False


def _identities(person: ContactFields) -> list[Identity]:
    found = [(kind, value) for kind in IDENTITY_KINDS if (value := getattr(person, kind))]
    if not found:
        raise ValueError("nobody can be recognised without an id, email or phone")
    return found


def _people(keys: Sequence[Sequence[Identity]], owners: Owners) -> list[_Person]:
    """Put together who shares an identity, directly or through a contact."""
    roots: dict[object, object] = {}

    def root(node: object) -> object:
        while (above := roots.setdefault(node, node)) != node:
            node = above
        return node

    for identities in keys:
        for one in identities:
            roots[root(one)] = root(identities[0])
            if one in owners:
                roots[root(owners[one])] = root(identities[0])
    found: dict[object, _Person] = defaultdict(_Person)
    for place, identities in enumerate(keys):
        person = found[root(identities[0])]
        person.places.append(place)
        person.identities.update(identities)
    return list(found.values())


def _first(told: Sequence[ContactFields], name: str) -> Any:
    return next((value for one in told if (value := getattr(one, name)) is not None), None)


def _together(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for part in parts:
        whole.update(part)
    return whole
