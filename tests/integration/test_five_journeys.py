"""The shipped flows.yaml as it is: every branch of its five journeys, on a stepping clock.

A message is told by when it was queued, in the recipient's own time, its channel, its template,
and what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.domain.flows import Channel
from orchestrator.domain.messages import MessageState
from orchestrator.ports import LinkClaims
from orchestrator.services.audiences import EVERY
from tests.integration.shop import ROOT, Shop, checkout, open_shop

ADA, BEA = "ada@example.com", "bea@example.com"
PHONE = "+12125550123"
NEW_YORK = "America/New_York"
YES = {"email": "yes", "sms": "yes"}

Told = tuple[str, str, str, str]


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """The shipped shop. It is 03:00 on Friday, 20 November 2026, in New York."""
    with open_shop(tmp_path, database_url, shipped()) as opened:
        yield opened


def shipped(**changes: str) -> str:
    text = (ROOT / "flows.yaml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M")


def told(shop: Shop, flow: str, zone: str = NEW_YORK) -> list[Told]:
    """Every message of a flow, oldest first; what was not sent, by its reason."""
    return [
        (
            local(message.sent_at or message.created_at, zone),
            message.channel.value,
            message.template,
            message.reason or message.state.value,
        )
        for message in shop.messages()
        if message.flow == flow
    ]


def ends(shop: Shop, flow: str, email: str = ADA) -> list[str | None]:
    return [run.end_reason for run in shop.runs(email) if run.flow == flow]


def person(**more: str) -> dict[str, str]:
    return {"timezone": NEW_YORK, "country": "US", "first_name": "Ada", **more}


async def click(shop: Shop, flow: str, step: str, email: str = ADA) -> None:
    """A click is an output of its step; the event of it wakes the run that waits for one."""
    (run,) = [run for run in shop.runs(email) if run.flow == flow and run.ended_at is None]
    known = run.outputs.get(step, {})
    with shop.app.database.transaction() as uow:
        uow.enrolments.note({run.id: {**run.outputs, step: {**known, "clicked": True}}})
    await shop.receive("message.clicked", email, data={"step": step})


async def opt_out(shop: Shop, topic: str, email: str = ADA) -> None:
    """One click on the link of a mail."""
    claims = LinkClaims(shop.contact_id(email), None, Channel.EMAIL, topic)
    assert await shop.app.preferences.unsubscribe(claims)


def consenting_topics(shop: Shop, email: str = ADA) -> set[tuple[str, str]]:
    contact_id = shop.contact_id(email)
    with shop.app.database.read() as uow:
        states = uow.consents.states([contact_id]).get(contact_id, [])
    return {(one.channel.value, one.topic) for one in states if one.status.value == "granted"}


# Welcome ------------------------------------------------------------------------------------

CONFIRM: Told = ("11-20 03:00", "email", "welcome/confirm", "sent")


async def sign_up(shop: Shop, country: str, **consent: str) -> None:
    await shop.receive(
        "contact.subscribed", ADA, contact=person(country=country), consent=consent or YES
    )


async def confirm(shop: Shop) -> None:
    """The shop says that the address was confirmed on a page of its own."""
    proof = {"consent_evidence": {"confirmed_at": shop.clock.moment.isoformat()}}
    await shop.receive("contact.confirmed", ADA, consent={"email": "yes"}, data=proof)


async def test_a_sign_up_that_needs_no_confirmation_is_welcomed_at_once(shop: Shop) -> None:
    await sign_up(shop, "US")
    await shop.pass_time(days=7)
    assert told(shop, "welcome") == [
        ("11-20 03:00", "email", "welcome/hello", "sent"),
        ("11-23 10:00", "email", "welcome/start", "sent"),
    ]
    assert ends(shop, "welcome") == ["completed"]


async def test_whoever_has_bought_is_thanked_instead_of_shown_around(shop: Shop) -> None:
    await sign_up(shop, "US")
    await shop.pass_time(days=1)
    await shop.receive("order.placed", ADA, order_id="o1", total="20.00")
    await shop.pass_time(days=7)
    assert told(shop, "welcome")[1:] == [("11-23 10:00", "email", "welcome/thanks", "sent")]


async def test_where_the_law_asks_for_it_nothing_but_the_question_goes_out_first(
    shop: Shop,
) -> None:
    await sign_up(shop, "DE")
    await shop.pass_time(days=2, hours=5)
    assert told(shop, "welcome") == [CONFIRM]
    (message,) = shop.messages()
    assert message.message_class.value == "service"
    await confirm(shop)
    await shop.pass_time(days=7)
    assert told(shop, "welcome") == [
        CONFIRM,
        ("11-22 08:00", "email", "welcome/hello", "sent"),
        ("11-25 10:00", "email", "welcome/start", "sent"),
    ]


async def test_a_confirmation_quicker_than_the_engine_is_not_missed(shop: Shop) -> None:
    await sign_up(shop, "DE")
    await shop.app.enrolling.run_once()
    await shop.app.advancing.run_once()
    await confirm(shop)  # the mail is on its way: the run does not wait for it yet
    await shop.settle()
    assert [row[2] for row in told(shop, "welcome")] == ["welcome/confirm", "welcome/hello"]


async def test_that_somebody_is_confirmed_for_texts_alone_confirms_no_letters(shop: Shop) -> None:
    await sign_up(shop, "DE")
    proof = {"consent_evidence": {"confirmed_at": shop.clock.moment.isoformat()}}
    await shop.receive("contact.confirmed", ADA, consent={"sms": "yes"}, data=proof)
    await shop.pass_time(days=1)
    assert told(shop, "welcome") == [CONFIRM]
    assert ends(shop, "welcome") == [None]


async def test_whoever_never_confirms_hears_no_more_and_may_sign_up_again(shop: Shop) -> None:
    await sign_up(shop, "DE")
    await shop.pass_time(days=6)
    assert ends(shop, "welcome") == [None]
    await shop.pass_time(days=1)
    assert ends(shop, "welcome") == ["left"]
    await shop.pass_time(days=22)
    await sign_up(shop, "DE")
    assert told(shop, "welcome") == [CONFIRM]
    await shop.pass_time(days=1)
    await sign_up(shop, "DE")
    await shop.pass_time(hours=1)
    assert told(shop, "welcome") == [CONFIRM, ("12-20 03:00", "email", "welcome/confirm", "sent")]


async def test_a_sign_up_for_texts_alone_brings_no_letters(shop: Shop) -> None:
    await sign_up(shop, "DE", sms="yes")
    await shop.pass_time(days=1)
    assert shop.runs(ADA) == []


async def test_an_opt_out_from_news_silences_the_rest_of_the_welcome(shop: Shop) -> None:
    await sign_up(shop, "US")
    await shop.settle()
    await opt_out(shop, "news")
    await shop.pass_time(days=7)
    assert [row[3] for row in told(shop, "welcome")] == ["sent", "no_consent"]


# Abandoned cart -----------------------------------------------------------------------------

FIRST: Told = ("11-20 04:00", "email", "cart/reminder", "sent")


async def leave_cart(shop: Shop, **more: str) -> None:
    await shop.receive("checkout.started", ADA, contact=person(phone=PHONE), **checkout(**more))


async def test_without_a_click_a_text_follows_and_then_the_last_mail(shop: Shop) -> None:
    await leave_cart(shop)
    await shop.pass_time(days=5)
    assert told(shop, "abandoned_cart") == [
        FIRST,
        ("11-21 09:00", "sms", "cart/reminder", "sent"),  # 20 hours are over at midnight
        ("11-22 09:00", "email", "cart/nudge", "sent"),
    ]
    assert ends(shop, "abandoned_cart") == ["completed"]


async def test_a_text_that_falls_due_by_day_goes_at_once(shop: Shop) -> None:
    shop.clock.moment += timedelta(hours=12, minutes=20)  # 15:20, so 12:20 on the next day
    await leave_cart(shop)
    await shop.pass_time(days=1)
    assert told(shop, "abandoned_cart")[1] == ("11-21 12:20", "sms", "cart/reminder", "sent")


async def test_a_click_spares_the_text(shop: Shop) -> None:
    await leave_cart(shop)
    await shop.pass_time(hours=6)
    await click(shop, "abandoned_cart", "first")
    await shop.pass_time(days=5)
    assert told(shop, "abandoned_cart") == [FIRST, ("11-21 09:00", "email", "cart/nudge", "sent")]


@pytest.mark.parametrize(
    ("after", "sent"), [(0.5, 0), (2, 1), (36, 2)], ids=["first wait", "wait for", "last wait"]
)
async def test_an_order_ends_it_wherever_it_stands(shop: Shop, after: float, sent: int) -> None:
    await leave_cart(shop)
    await shop.pass_time(hours=after)
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.pass_time(days=5)
    assert len(told(shop, "abandoned_cart")) == len(shop.provider.sent) == sent
    assert ends(shop, "abandoned_cart") == ["exited"]


async def test_an_opt_out_by_mail_leaves_the_text_and_refuses_the_next_mail(shop: Shop) -> None:
    await leave_cart(shop)
    await shop.pass_time(hours=2)
    await opt_out(shop, "offers")
    await shop.pass_time(days=5)
    assert [row[1:] for row in told(shop, "abandoned_cart")] == [
        ("email", "cart/reminder", "sent"),
        ("sms", "cart/reminder", "sent"),
        ("email", "cart/nudge", "no_consent"),
    ]


async def test_an_opt_out_from_everything_refuses_text_and_mail(shop: Shop) -> None:
    await leave_cart(shop)
    await shop.pass_time(hours=2)
    await shop.receive("contact.unsubscribed", ADA)
    await shop.pass_time(days=5)
    assert [row[3] for row in told(shop, "abandoned_cart")] == ["sent", "no_consent", "no_consent"]


async def test_without_a_number_the_text_is_refused_and_the_last_mail_goes(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, contact=person(), **checkout())
    await shop.pass_time(days=5)
    assert [row[3] for row in told(shop, "abandoned_cart")] == ["sent", "unreachable", "sent"]


# Review request -----------------------------------------------------------------------------

REQUEST: Told = ("11-30 10:00", "email", "review/request", "sent")
REMINDER: Told = ("12-07 10:00", "email", "review/reminder", "sent")


async def parcel(shop: Shop, order: str = "o1") -> None:
    fields = checkout() | {"order_id": order}
    await shop.receive("order.delivered", ADA, contact=person(), **fields)


async def test_ten_days_after_the_parcel_we_ask_and_remind_once(shop: Shop) -> None:
    await parcel(shop)
    await shop.pass_time(days=30)
    assert told(shop, "review_request") == [REQUEST, REMINDER]
    assert ends(shop, "review_request") == ["completed"]
    assert b"Notebook" in shop.provider.sent[0][1].body


async def test_ten_in_the_morning_stays_so_when_summer_time_ends(shop: Shop) -> None:
    shop.clock.moment = datetime(2026, 10, 28, 12, tzinfo=ZoneInfo("UTC"))  # ends on 1 November
    await parcel(shop)
    await shop.pass_time(days=11)
    assert told(shop, "review_request") == [("11-07 10:00", "email", "review/request", "sent")]


async def test_whoever_follows_the_request_is_not_reminded(shop: Shop) -> None:
    await parcel(shop)
    await shop.pass_time(days=12)
    await click(shop, "review_request", "request")
    await shop.pass_time(days=30)
    assert told(shop, "review_request") == [REQUEST]
    assert ends(shop, "review_request") == ["completed"]


@pytest.mark.parametrize("event", ["support.opened", "review.submitted"])
@pytest.mark.parametrize(("after", "sent"), [(5, []), (12, [REQUEST])])
async def test_a_complaint_or_a_review_ends_it(
    shop: Shop, event: str, after: int, sent: list[Told]
) -> None:
    await parcel(shop)
    await shop.pass_time(days=after)
    await shop.receive(event, ADA)
    await shop.pass_time(days=30)
    assert told(shop, "review_request") == sent
    assert ends(shop, "review_request") == ["exited"]


async def test_only_the_refund_of_this_order_ends_it(shop: Shop) -> None:
    await parcel(shop, "o1")
    await parcel(shop, "o2")
    await shop.receive("order.refunded", ADA, order_id="o2")
    await shop.pass_time(days=11)
    assert told(shop, "review_request") == [REQUEST]
    assert sorted(ends(shop, "review_request"), key=str) == [None, "exited"]


async def test_whoever_complained_before_the_parcel_came_is_not_asked(shop: Shop) -> None:
    await shop.receive("support.opened", ADA)
    await shop.pass_time(days=3)
    await parcel(shop)
    await shop.pass_time(days=30)
    assert ends(shop, "review_request") == []


# Win-back -----------------------------------------------------------------------------------

NEWS: Told = ("03-20 10:00", "email", "winback/news", "sent")
GIFT: Told = ("04-03 10:00", "email", "winback/gift", "sent")
QUESTION: Told = ("04-24 10:00", "email", "winback/goodbye", "sent")
EVERYTHING = {
    (channel, topic) for channel in ("email", "sms") for topic in ("news", "offers", "reviews")
}


async def look(shop: Shop) -> None:
    """Look at the segments, as the daemon does every five minutes."""
    await shop.settle()
    while await shop.app.segments.run_once():
        pass
    await shop.settle()


async def lapse(shop: Shop, consent: dict[str, str] | None = None) -> None:
    """Ada has bought at 03:00 on 20 November, and not for 120 days."""
    await look(shop)
    bought = {"order_id": "o1", "consent": YES if consent is None else consent}
    await shop.receive("order.placed", ADA, contact=person(), **bought)
    shop.clock.moment += timedelta(days=120) - EVERY
    await look(shop)
    assert ends(shop, "win_back") == []
    shop.clock.moment += 2 * EVERY  # it is 04:05 by now: summer time has begun
    await look(shop)


async def test_whoever_lapses_is_written_to_three_times_and_then_left_in_peace(shop: Shop) -> None:
    await lapse(shop)
    assert consenting_topics(shop) == EVERYTHING
    await shop.pass_time(days=65)
    assert told(shop, "win_back") == [NEWS, GIFT, QUESTION]
    assert b"BACK-TO-BOOKS" in shop.provider.sent[1][1].body
    assert ends(shop, "win_back") == [None]
    assert consenting_topics(shop) == EVERYTHING
    await shop.pass_time(days=1)
    assert ends(shop, "win_back") == ["completed"]
    assert consenting_topics(shop) == set()
    with shop.app.database.read() as uow:
        records = uow.consents.records(shop.contact_id(ADA))
    assert records[-1].details["reason"] == "sunset"


async def test_whoever_looks_at_the_gift_is_not_asked(shop: Shop) -> None:
    await lapse(shop)
    await shop.pass_time(days=20)
    await click(shop, "win_back", "offer")
    await shop.pass_time(days=60)
    assert told(shop, "win_back") == [NEWS, GIFT]
    assert ends(shop, "win_back") == ["left"]
    assert consenting_topics(shop) == EVERYTHING


async def test_whoever_says_yes_to_the_question_stays(shop: Shop) -> None:
    await lapse(shop)
    await shop.pass_time(days=40)
    await click(shop, "win_back", "question")
    await shop.pass_time(days=60)
    assert told(shop, "win_back") == [NEWS, GIFT, QUESTION]
    assert ends(shop, "win_back") == ["left"]
    assert consenting_topics(shop) == EVERYTHING


async def test_whoever_comes_to_the_shop_after_the_question_stays(shop: Shop) -> None:
    await lapse(shop)
    await shop.pass_time(days=40)
    await shop.receive("product.viewed", ADA)
    await shop.pass_time(days=60)
    assert ends(shop, "win_back") == ["left"]
    assert consenting_topics(shop) == EVERYTHING


async def test_nothing_is_taken_from_those_who_were_never_asked(shop: Shop) -> None:
    await lapse(shop)
    await shop.pass_time(days=1)
    await opt_out(shop, "offers")
    await shop.pass_time(days=90)
    assert [row[3] for row in told(shop, "win_back")] == ["sent", "no_consent", "no_consent"]
    assert ends(shop, "win_back") == ["left"]
    assert consenting_topics(shop) == EVERYTHING - {("email", "offers")}


@pytest.mark.parametrize(("after", "sent"), [(0, []), (5, [NEWS]), (50, [NEWS, GIFT, QUESTION])])
async def test_an_order_ends_the_win_back(shop: Shop, after: int, sent: list[Told]) -> None:
    await lapse(shop)
    await shop.pass_time(days=after)
    await shop.receive("order.placed", ADA, order_id="o2")
    await shop.pass_time(days=90)
    assert told(shop, "win_back") == sent
    assert ends(shop, "win_back") == ["exited"]
    assert consenting_topics(shop) == EVERYTHING


async def test_whoever_gets_no_offers_is_left_alone(shop: Shop) -> None:
    await lapse(shop, consent={})
    await shop.pass_time(days=1)
    assert shop.runs(ADA) == []


# Notice of a new privacy policy -------------------------------------------------------------


async def tell(shop: Shop) -> None:
    while await shop.app.notices.run_once():
        pass
    await shop.settle()


async def test_a_new_policy_is_told_to_everybody_once_whatever_they_said(shop: Shop) -> None:
    await shop.receive("contact.updated", ADA, contact=person(), consent=YES)
    await shop.receive("contact.updated", BEA, contact=person())
    await shop.settle()
    await opt_out(shop, "offers", ADA)
    await shop.receive("contact.unsubscribed", BEA)
    await tell(shop)
    assert shop.messages() == []  # the first version is the one people know
    next_version = {"version: 2026-12": "version: 2027-06"}
    for _ in range(2):
        shop.publish(shipped(**next_version))
        await tell(shop)
    await shop.pass_time(days=2)
    assert told(shop, "privacy_notice") == [("11-20 03:00", "email", "privacy/notice", "sent")] * 2
    assert sorted(mail.envelope_to for _, mail in shop.provider.sent) == [ADA, BEA]
    for _, mail in shop.provider.sent:
        assert b"2027-06" in mail.body
        assert b"List-Unsubscribe" not in mail.body
    shop.publish(shipped())
    await tell(shop)
    assert len(shop.provider.sent) == 2


async def test_a_notice_that_could_not_go_out_goes_as_soon_as_it_can(shop: Shop) -> None:
    await shop.receive("contact.updated", ADA, contact=person())
    shop.publish(shipped(**{"version: 2026-12": "version: 2027-06"}))
    while await shop.app.notices.run_once():
        pass
    await shop.app.advancing.run_once()
    shop.clock.moment += timedelta(days=3)
    await shop.settle()
    assert [message.state for message in shop.messages()] == [MessageState.SENT]
