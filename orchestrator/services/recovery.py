"""What a daemon that is alone on its database does about the one before it."""

from __future__ import annotations

import logging

from orchestrator.domain.messages import MessageState
from orchestrator.ports import Clock, Database, MessageChange, UnitOfWork

log = logging.getLogger(__name__)


def recover(database: Database, clock: Clock) -> int:
    """Take over: nobody else holds a lease, so all of them are given back at once.

    What the dead process was sending may or may not have left: it is `unknown`, never sent
    again blindly. Returns how many messages are in doubt.
    """
    with database.transaction() as uow:
        doubtful = _doubt_all(uow, clock)
        uow.enrolments.release_leases()
        uow.messages.release_leases()
    if doubtful:
        log.warning("messages were being sent when the last daemon died", extra={"n": doubtful})
    return doubtful


def _doubt_all(uow: UnitOfWork, clock: Clock) -> int:
    now = clock.now()
    lost = uow.messages.all_sending()
    leaving = frozenset({MessageState.SENDING})
    changes = [MessageChange(message.id, MessageState.UNKNOWN, leaving) for message in lost]
    uow.messages.apply(changes, now)
    uow.enrolments.wake({message.enrolment_id for message in lost}, now)
    return len(lost)
