"""Coupon codes in the database and who holds them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, select, update

from orchestrator.domain.errors import Conflict
from orchestrator.domain.identifiers import ContactId, EnrolmentId, shard_of
from orchestrator.ports.runtime import Ids
from orchestrator.storage.batches import insert_new
from orchestrator.storage.tables import coupon

Q: Final = coupon.c


class SqlCoupons:
    """`ports.Coupons` on one connection."""

    def __init__(self, connection: Connection, ids: Ids) -> None:
        self._connection = connection
        self._ids = ids

    def assign(
        self,
        contact_id: ContactId,
        enrolment_id: EnrolmentId,
        step: str,
        code: str,
        pool: str,
        expires_at: datetime | None,
        now: datetime,
    ) -> None:
        """Record that a run's step gave a code; repeating it changes nothing.

        A code of pool "" may go to many people. Raises Conflict if the pool's code is
        somebody else's.
        """
        holder = {
            "contact_id": contact_id,
            "enrolment_id": enrolment_id,
            "step": step,
            "expires_at": expires_at,
            "assigned_at": now,
        }
        mine = and_(Q.enrolment_id == enrolment_id, Q.step == step)
        free = and_(Q.pool == pool, Q.code == code, Q.pool != "", Q.enrolment_id.is_(None))
        if self._connection.scalar(select(Q.id).where(mine)):
            return
        taken = update(coupon).where(free).values(**holder)
        if self._connection.execute(taken).rowcount:
            return
        row = {
            "id": self._ids.new(),
            "shard": shard_of(f"{pool}/{code}"),
            "pool": pool,
            "code": code,
            **holder,
        }
        insert_new(self._connection, coupon, [row], Q.id)
        held = select(Q.id).where(mine)
        if self._connection.scalar(held) is None:
            raise Conflict(f"a code of pool {pool} is somebody else's already")
