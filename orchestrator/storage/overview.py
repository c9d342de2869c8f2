"""Figures and people for the marketers' pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Label, func, literal, or_, select
from sqlalchemy.sql import Select

from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import EndReason
from orchestrator.domain.identifiers import ContactId, VersionHash
from orchestrator.domain.messages import MessageState
from orchestrator.domain.passages import Place
from orchestrator.ports.overview import FlowTotals, SendCount
from orchestrator.ports.people import Contacts
from orchestrator.storage.tables import contact, enrolment, message

C: Final = contact.c
E: Final = enrolment.c
M: Final = message.c
LOOKED_THROUGH: Final = 100_000
"""How many of the newest people a search by words looks at: it has no index to go by."""

_BETWEEN: Final = "\n"
_SENT: Final = ("sent", "delivered", "bounced", "complained")


class SqlOverview:
    """`ports.Overview` on one connection."""

    def __init__(self, connection: Connection, contacts: Contacts) -> None:
        self._connection = connection
        self._contacts = contacts

    def totals(self, since: datetime) -> dict[str, FlowTotals]:
        """Of each flow that has any: live runs, and those entered and messages sent since."""
        inside = self._by_flow(E.flow, E.ended_at.is_(None))
        entered = self._by_flow(E.flow, E.entered_at >= since)
        sent = self._by_flow(M.flow, M.created_at >= since, M.state.in_(_SENT))
        return {
            flow: FlowTotals(inside.get(flow, 0), entered.get(flow, 0), sent.get(flow, 0))
            for flow in {*inside, *entered, *sent}
        }

    def places(
        self, flow: str, since: datetime, *, with_sends: bool
    ) -> list[tuple[VersionHash, Place]]:
        """Where the runs of a flow that entered since then stand or ended."""
        # Whoever left before the first step stands at none either.
        completed = func.coalesce(E.end_reason == EndReason.COMPLETED.value, False).label("done")
        sends = _sends_of_a_run() if with_sends else literal(None).label("sends")
        runs = (
            select(E.version, E.step, completed, sends)
            .where(E.flow == flow, E.entered_at >= since)
            .subquery()
        )
        grouped = select(*runs.c, func.count()).group_by(*runs.c)
        return [
            (VersionHash(row[0]), Place(row[1], bool(row[2]), _steps(row[3]), row[4]))
            for row in self._connection.execute(grouped)
        ]

    def sends(self, flow: str, since: datetime) -> list[SendCount]:
        """What became of a flow's messages made since then, by step."""
        end = (M.step, M.state, M.reason)
        counted = select(*end, func.count()).where(M.flow == flow, M.created_at >= since)
        return [
            SendCount(step, MessageState(state), reason, number)
            for step, state, reason, number in self._connection.execute(counted.group_by(*end))
        ]

    def people(self, words: Sequence[str], before: ContactId | None, limit: int) -> list[Contact]:
        """People, the newest first; words are looked for among the newest `LOOKED_THROUGH`."""
        known = select(C.id, C.email, C.first_name, C.last_name).where(
            C.merged_into.is_(None), C.erased_at.is_(None)
        )
        if before is not None:
            known = known.where(C.id < before)
        found: Select[Any]
        if words:
            newest = known.order_by(C.id.desc()).limit(LOOKED_THROUGH).subquery()
            found = select(newest.c.id).where(*(_begins(newest.c, word) for word in words))
            found = found.order_by(newest.c.id.desc())
        else:
            found = known.with_only_columns(C.id).order_by(C.id.desc())
        ids = list(self._connection.scalars(found.limit(limit)))
        people = self._contacts.load(ids)
        return [people[one] for one in ids]

    def _by_flow(self, flow: ColumnElement[str], *which: ColumnElement[bool]) -> dict[str, int]:
        counted = select(flow, func.count()).where(*which).group_by(flow)
        return {row[0]: row[1] for row in self._connection.execute(counted)}


def _sends_of_a_run() -> Label[Any]:
    """The steps of a run's messages, as one text, from an index alone."""
    steps = select(func.aggregate_strings(M.step, _BETWEEN)).where(M.enrolment_id == E.id)
    return steps.correlate(enrolment).scalar_subquery().label("sends")


def _steps(text: str | None) -> frozenset[str]:
    return frozenset(text.split(_BETWEEN)) if text else frozenset()


def _begins(columns: Any, word: str) -> ColumnElement[bool]:
    """Whether a name or the address begins with a word.

    SQLite knows the case of ASCII letters alone, so other usual spellings are asked for, too.
    """
    spellings = dict.fromkeys((word, word.lower(), word.capitalize()))
    names = (columns.first_name, columns.last_name)
    return or_(
        columns.email.istartswith(word, autoescape=True),
        *(name.istartswith(one, autoescape=True) for name in names for one in spellings),
    )
