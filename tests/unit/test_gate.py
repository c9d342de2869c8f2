from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.consent import Permission, Standing
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.gate import Allow, Block, Cancel, GateFacts, gate
from orchestrator.domain.messages import CancelledReason, MessageState, NotSentReason
from tests.unit.shop import START, contact, message

PROOF = ("subject", 7)
MARKETING, SERVICE = MessageClass.MARKETING, MessageClass.SERVICE
TRANSACTIONAL, LEGAL = MessageClass.TRANSACTIONAL, MessageClass.LEGAL


def facts(
    message_class: MessageClass = MARKETING,
    standing: Standing = Standing.ALLOWED,
    *,
    channel: Channel = Channel.EMAIL,
    suppressed: bool | None = None,
    exited: bool = False,
    expired: bool = False,
    erased: bool = False,
    reachable: bool = True,
) -> GateFacts:
    person = contact(erased_at=START if erased else None)
    return GateFacts(
        message=message(
            "first",
            MessageState.QUEUED,
            message_class=message_class,
            channel=channel,
            expires_at=START - timedelta(seconds=1) if expired else START + timedelta(hours=12),
        ),
        contact=person if reachable else replace(person, email=None, phone=None),
        permission=Permission(standing, None if standing is Standing.UNKNOWN else PROOF),
        suppressed=suppressed,
        exited=exited,
        now=START,
    )


STANDINGS = {
    Standing.ALLOWED: None,
    Standing.OBJECTED: NotSentReason.OBJECTED,
    Standing.UNCONFIRMED: NotSentReason.UNCONFIRMED,
    Standing.WITHDRAWN: NotSentReason.NO_CONSENT,
    Standing.EXPIRED: NotSentReason.NO_CONSENT,
    Standing.UNKNOWN: NotSentReason.NO_CONSENT,
}


@pytest.mark.parametrize("standing", Standing)
def test_marketing_needs_a_live_consent(standing: Standing) -> None:
    verdict = gate(facts(MARKETING, standing))
    reason = STANDINGS[standing]
    assert verdict == (Allow(PROOF) if reason is None else Block(reason))


@pytest.mark.parametrize("standing", Standing)
def test_service_needs_no_consent_but_heeds_an_opt_out_and_an_objection(
    standing: Standing,
) -> None:
    stops = {
        Standing.OBJECTED: NotSentReason.OBJECTED,
        Standing.WITHDRAWN: NotSentReason.NO_CONSENT,
    }
    verdict = gate(facts(SERVICE, standing))
    assert verdict == (Block(stops[standing]) if standing in stops else Allow())


@pytest.mark.parametrize("message_class", [TRANSACTIONAL, LEGAL])
@pytest.mark.parametrize("standing", Standing)
def test_what_is_owed_passes_whatever_the_consent_and_claims_no_proof(
    message_class: MessageClass, standing: Standing
) -> None:
    assert gate(facts(message_class, standing)) == Allow()


@pytest.mark.parametrize("message_class", MessageClass)
def test_a_hard_suppression_stops_everything(message_class: MessageClass) -> None:
    assert gate(facts(message_class, suppressed=True)) == Block(NotSentReason.SUPPRESSED)


@pytest.mark.parametrize(
    ("message_class", "stopped"),
    [(MARKETING, True), (SERVICE, True), (TRANSACTIONAL, False), (LEGAL, False)],
)
def test_a_soft_suppression_stops_what_is_not_owed(
    message_class: MessageClass, stopped: bool
) -> None:
    verdict = gate(facts(message_class, suppressed=False))
    assert (verdict == Block(NotSentReason.SUPPRESSED)) is stopped
    assert isinstance(verdict, Allow) is not stopped


@pytest.mark.parametrize("message_class", MessageClass)
def test_every_class_stops_at_erasure_without_an_address_when_too_late_and_after_an_exit(
    message_class: MessageClass,
) -> None:
    assert gate(facts(message_class, erased=True)) == Block(NotSentReason.ERASED)
    assert gate(facts(message_class, reachable=False)) == Block(NotSentReason.UNREACHABLE)
    assert gate(facts(message_class, expired=True)) == Block(NotSentReason.EXPIRED)
    assert gate(facts(message_class, exited=True)) == Cancel(CancelledReason.EXITED)


def test_a_message_may_go_until_the_moment_it_expires() -> None:
    limit = replace(message("first", MessageState.QUEUED), expires_at=START)
    assert isinstance(gate(replace(facts(), message=limit)), Allow)
    late = replace(facts(), message=limit, now=START + timedelta(microseconds=1))
    assert gate(late) == Block(NotSentReason.EXPIRED)


def test_a_message_without_an_expiry_is_never_too_late() -> None:
    open_end = replace(message("first", MessageState.QUEUED), expires_at=None)
    years = replace(facts(), message=open_end, now=START + timedelta(days=4000))
    assert isinstance(gate(years), Allow)


@pytest.mark.parametrize(
    ("channel", "email", "phone", "reached"),
    [
        (Channel.EMAIL, "ada@example.com", None, True),
        (Channel.EMAIL, None, "+358401234567", False),
        (Channel.SMS, "ada@example.com", None, False),
        (Channel.SMS, None, "+358401234567", True),
        (Channel.WHATSAPP, None, "+358401234567", True),
    ],
)
def test_each_channel_needs_its_own_address(
    channel: Channel, email: str | None, phone: str | None, reached: bool
) -> None:
    asked = replace(facts(channel=channel), contact=contact(email=email, phone=phone))
    assert isinstance(gate(asked), Allow) is reached


def _expected(asked: GateFacts) -> Allow | Block | Cancel:
    """The rule once more, as a list of all that holds."""
    message_class, standing = asked.message.message_class, asked.permission.standing
    suppressed, erased = asked.suppressed, asked.contact.erased_at is not None
    expires_at = asked.message.expires_at
    holding = {
        NotSentReason.ERASED: erased,
        NotSentReason.UNREACHABLE: asked.contact.email is None,
        NotSentReason.SUPPRESSED: suppressed is True
        or (suppressed is False and message_class in (MARKETING, SERVICE)),
        NotSentReason.OBJECTED: standing is Standing.OBJECTED
        and message_class in (MARKETING, SERVICE),
        NotSentReason.UNCONFIRMED: standing is Standing.UNCONFIRMED and message_class is MARKETING,
        NotSentReason.NO_CONSENT: (
            message_class is MARKETING
            and standing in (Standing.WITHDRAWN, Standing.EXPIRED, Standing.UNKNOWN)
        )
        or (message_class is SERVICE and standing is Standing.WITHDRAWN),
        NotSentReason.EXPIRED: expires_at is not None and expires_at < START,
    }
    if asked.exited and not erased:
        return Cancel(CancelledReason.EXITED)
    first = next((reason for reason in NotSentReason if holding.get(reason)), None)
    if first is not None:
        return Block(first)
    return Allow(PROOF if message_class is MARKETING else None)


def test_of_several_reasons_the_first_is_given_in_every_combination() -> None:
    combinations = itertools.product(
        MessageClass, Standing, (None, False, True), itertools.product((False, True), repeat=4)
    )
    for message_class, standing, suppressed, flags in combinations:
        erased, exited, reachable, expired = flags
        asked = facts(
            message_class,
            standing,
            suppressed=suppressed,
            exited=exited,
            expired=expired,
            erased=erased,
            reachable=reachable,
        )
        assert gate(asked) == _expected(asked), (message_class, standing, suppressed, flags)


def test_reasons_stand_in_the_order_in_which_they_are_given() -> None:
    told = "erased unreachable suppressed objected unconfirmed no_consent sunset holdout expired"
    assert list(NotSentReason)[:11] == [*told.split(), "late", "cap"]
