"""What a good flows.yaml compiles to."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.durations import Duration, parse_duration
from orchestrator.domain.flows import (
    Again,
    AttributeType,
    Cap,
    Channel,
    ChooseStep,
    ClockMoment,
    ClockWindow,
    CouponStep,
    Current,
    DateTrigger,
    EventTrigger,
    ExitStep,
    ExperimentStep,
    Flow,
    FlowBook,
    IfLate,
    IfStep,
    Lateness,
    LocalText,
    ManualTrigger,
    MessageClass,
    NotAllowed,
    OnChange,
    PolicyChangeTrigger,
    Repeat,
    ScheduleTrigger,
    SegmentTrigger,
    SendStep,
    SetStep,
    Since,
    Stage,
    StartStep,
    TagStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WebhookStep,
    WithdrawStep,
)
from orchestrator.flowfile import TemplateFile, check, explain_flow, load_text
from orchestrator.flowfile.slips import COMPANIONS
from orchestrator.flowfile.steps import STEP
from orchestrator.flowfile.words import say

SAMPLE = (Path(__file__).parent / "sample_flows.yaml").read_text(encoding="utf-8")
HEAD = """\
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: Northwind <hello@northwind.example>
  postal_address: Keskuskatu 1, 00100 Helsinki
  support: help@northwind.example
  staff: {desk: desk@northwind.example}
  locale: en
  timezone: Europe/Helsinki
topics: {offers: {title: Offers}, news: {title: News}}
attributes: {birthday: date, points: number}
tables: {refill: {COF-1KG: 28 days}}
segments: {lapsed: contact.orders.count > 0}
"""


def book_of(text: str) -> FlowBook:
    loaded = load_text(text)
    assert loaded.book is not None, loaded.findings
    return loaded.book


def flow_of(keys: str, steps: str = "- send: cart/reminder", head: str = HEAD) -> Flow:
    """One flow with these keys (marketing on an event unless they say otherwise) and steps."""
    lines = keys.splitlines()
    names = {line.partition(":")[0] for line in lines}
    defaults = {"class": "marketing", "topic": "offers", "when": "{event: checkout.started}"}
    lines += [f"{name}: {value}" for name, value in defaults.items() if name not in names]
    body = "".join(f"    {line}\n" for line in lines)
    program = "".join(f"      {line}\n" for line in steps.splitlines())
    return book_of(f"{head}flows:\n  cart:\n{body}    steps:\n{program}").flows["cart"]


def test_the_sample_loads_and_only_what_is_not_available_yet_stops_its_publishing() -> None:
    loaded = load_text(SAMPLE)
    assert loaded.book is not None
    assert not loaded.publishable
    assert [finding.message for finding in loaded.findings] == [
        '"quiet_hours" is not available yet',
        '"holdout" is not available yet',
        '"experiment" is not available yet',
        '"percent" is not available yet',
        '"prefix" is not available yet',
    ]


def test_the_sample_compiles_to_what_it_says() -> None:
    book = book_of(SAMPLE)
    assert book.brand.name == LocalText("Northwind Books")
    assert book.brand.email_for(MessageClass.MARKETING) == "Northwind <news@m.northwind.example>"
    assert book.brand.email_for(MessageClass.LEGAL) == "Northwind <hello@northwind.example>"
    assert (book.brand.sms_for("FI"), book.brand.sms_for("SE")) == ("NORTHWIND", "+15005550006")
    assert book.brand.privacy is not None
    assert book.brand.privacy.version == "2026-12"
    assert book.brand.privacy.effective == date(2026, 12, 15)
    assert book.attributes == {"birthday": AttributeType.DATE, "points": AttributeType.NUMBER}
    assert book.tables == {"refill": {"COF-1KG": timedelta(days=28)}}
    flow = book.flows["abandoned_cart"]
    assert flow.reenter.again is Again.AFTER
    assert flow.holdout_percent == Decimal(5)
    assert flow.goal is not None
    assert flow.goal.within == timedelta(days=7)
    assert [event.event for event in flow.exits] == ["order.placed"]


def test_steps_are_a_flat_program_whose_branches_rejoin() -> None:
    flow = book_of(SAMPLE).flows["abandoned_cart"]
    assert list(flow.program) == [
        *("1", "first", "3", "3.otherwise.1", "4", "5"),
        *("5.plain.1", "5.coupon.1", "5.coupon.2"),
    ]
    assert flow.first == "1"
    wait_for = flow.program["3"]
    assert isinstance(wait_for, WaitForStep)
    assert (wait_for.then, wait_for.otherwise, wait_for.next) == ("4", "3.otherwise.1", "4")
    rejoining = flow.program["3.otherwise.1"]
    assert isinstance(rejoining, SendStep)
    assert (rejoining.next, rejoining.via) == ("4", (Channel.SMS,))
    experiment = flow.program["5"]
    assert isinstance(experiment, ExperimentStep)
    assert [(one.name, one.weight, one.then) for one in experiment.variants] == [
        ("plain", 50, "5.plain.1"),
        ("coupon", 50, "5.coupon.1"),
    ]


def test_every_target_is_a_step_or_the_end() -> None:
    flow = flow_of(
        "",
        "- if: lapsed\n"
        "  then:\n"
        "    - choose: [{if: contact.points > 3, then: [{send: cart/a, id: a}]}]\n"
        "      otherwise: [exit: done]\n"
        "- wait_for: {event: order.placed}\n"
        "  within: 1 day\n"
        "  then: []\n"
        "  otherwise: [send: cart/b]\n",
    )
    targets = {
        target
        for step in flow.steps
        for name in ("next", "then", "otherwise")
        if (target := getattr(step, name, None)) is not None
    }
    assert targets <= set(flow.program)
    choice = flow.program["1.then.1"]
    assert isinstance(choice, ChooseStep)
    assert (choice.cases[0].then, choice.otherwise) == ("a", "1.then.1.otherwise.1")
    assert isinstance(flow.program["1.then.1.otherwise.1"], ExitStep)


def test_below_a_step_with_an_id_the_place_starts_at_that_id() -> None:
    flow = flow_of("", "- if: lapsed\n  id: old\n  otherwise:\n    - wait: 1 day\n")
    assert list(flow.program) == ["old", "old.otherwise.1"]


@pytest.mark.parametrize(
    ("when", "trigger"),
    [
        ("{event: order.placed}", EventTrigger("order.placed")),
        ("{segment: lapsed}", SegmentTrigger("lapsed", Current.SKIP)),
        ("{segment: lapsed, current: enter}", SegmentTrigger("lapsed", Current.ENTER)),
        ("manual", ManualTrigger()),
    ],
)
def test_triggers_that_can_be_published(when: str, trigger: object) -> None:
    assert flow_of(f"when: {when}").triggers == (trigger,)


def test_a_list_of_triggers_lets_people_in_by_any() -> None:
    flow = flow_of("when:\n  - manual\n  - event: order.placed\n    where: event.total > 3")
    assert [type(trigger) for trigger in flow.triggers] == [ManualTrigger, EventTrigger]


def test_schedule_and_date_triggers() -> None:
    cron = flow_of('when: {schedule: "0 10 1 * *"}\naudience: lapsed').triggers
    assert cron == (ScheduleTrigger(cron="0 10 1 * *"),)
    (moment,) = flow_of("when: {schedule: 2026-12-01 10:00}\naudience: lapsed").triggers
    assert isinstance(moment, ScheduleTrigger)
    assert f"{moment.moment}" == "2026-12-01 10:00:00"
    (birthday,) = flow_of(
        "when: {date: contact.birthday, offset: 3 days before, at: 9:30, repeat: once}"
    ).triggers
    assert isinstance(birthday, DateTrigger)
    assert (birthday.offset_days, birthday.at, birthday.repeat) == (-3, time(9, 30), Repeat.ONCE)


def test_a_policy_change_tells_what_changes() -> None:
    privacy = (
        "  privacy:\n"
        "    version: 2026-12\n"
        "    effective: 2026-12-15\n"
        "    url: https://northwind.example/privacy\n"
        "    previous_url: https://northwind.example/privacy/2025\n"
        "    why: {en: The law changed., fi: Laki muuttui.}\n"
        "    changes: We keep orders for six years.\n"
    )
    head = HEAD.replace("  locale: en\n", f"  locale: en\n{privacy}")
    flow = flow_of("class: legal\nwhen: {policy_change: privacy}", head=head)
    assert flow.triggers == (PolicyChangeTrigger("privacy"),)
    notice = book_of(f"{head}flows: {{}}\n").brand.privacy
    assert notice is not None
    assert notice.changes == (LocalText("We keep orders for six years."),)
    assert notice.why is not None
    assert (notice.why.in_locale("fi"), str(notice.why)) == ("Laki muuttui.", "The law changed.")


def test_every_step_of_the_grammar_compiles() -> None:
    flow = flow_of(
        "",
        "- coupon: {code: SPRING10, valid: 7 days}\n"
        "  id: gift\n"
        "- send: cart/offer\n"
        "  id: offer\n"
        "  via: [sms, email]\n"
        "  subject: {en: Yours, fi: Sinun}\n"
        "  if_late: skip\n"
        "  if_not_allowed: exit\n"
        "- wait: tables.refill[checkout.items[0].sku]\n"
        "- wait_until: gift.expires_at\n"
        "- wait_for: [{event: order.placed, where: event.checkout_id == key}, "
        "{event: support.opened}]\n"
        "  within: 2 calendar days at 10:00\n"
        "  since: entry\n"
        "- set: {points: contact.points + 10}\n"
        "- tag: vip\n"
        "- untag: [new, old]\n"
        "- webhook: https://desk.example/tickets\n"
        "  body: {email: contact.email}\n"
        "  secret: desk\n"
        "- emit: loyalty.tier_reached\n"
        "  data: {tier: contact.points}\n"
        "- start: cart\n"
        "- withdraw: [news]\n"
        "- withdraw: all topics\n"
        "  reason: sunset\n"
        "- exit: done\n",
    )
    kinds = [
        *(CouponStep, SendStep, WaitStep, WaitUntilStep, WaitForStep, SetStep, TagStep, TagStep),
        *(WebhookStep, StartStep, WithdrawStep, WithdrawStep, ExitStep),
    ]
    assert [type(step) for step in flow.steps if step.id != "10"] == kinds
    send = flow.program["offer"]
    assert isinstance(send, SendStep)
    assert send.via == (Channel.SMS, Channel.EMAIL)
    assert (send.if_late, send.if_not_allowed) == (IfLate(Lateness.SKIP), NotAllowed.EXIT)
    awaited = flow.program["5"]
    assert isinstance(awaited, WaitForStep)
    assert awaited.since is Since.ENTRY
    assert awaited.within == Duration(calendar_days=2, at=time(10))
    assert [event.event for event in awaited.events] == ["order.placed", "support.opened"]
    topics = [step.topics for step in flow.steps if isinstance(step, WithdrawStep)]
    assert topics == [("news",), None]


def test_flow_keys_have_their_values() -> None:
    flow = flow_of(
        "title: Cart\n"
        "description: Reminds people.\n"
        "stage: retention\n"
        "via: sms\n"
        "reenter: restart\n"
        "audience: lapsed and contact.consent.email.offers\n"
        "sunset: 180 days\n"
        "priority: 70\n"
        "on_change: move_to_new\n"
        "moved: {old: first}\n",
        "- send: cart/reminder\n  id: first",
    )
    assert (flow.title, flow.stage, flow.via) == ("Cart", Stage.RETENTION, (Channel.SMS,))
    assert flow.reenter.again is Again.RESTART
    assert (flow.sunset, flow.priority) == (timedelta(days=180), 70)
    assert (flow.on_change, flow.moved) == (OnChange.MOVE_TO_NEW, {"old": "first"})
    assert str(flow.audience) == "lapsed and contact.consent.email.offers"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10:00", ClockMoment(time(10))),
        ("tuesday 10:00", ClockMoment(time(10), weekday=1)),
        ("2026-12-15 10:00", ClockMoment(time(10), on=date(2026, 12, 15))),
        ("09:00-20:00", ClockWindow(time(9), time(20))),
    ],
)
def test_moments(text: str, moment: object) -> None:
    step = flow_of("", f"- wait_until: {text}").program["1"]
    assert isinstance(step, WaitUntilStep)
    assert step.moment == moment


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90 seconds", Duration(timedelta(seconds=90))),
        ("1 hour", Duration(timedelta(hours=1))),
        ("3 days", Duration(timedelta(days=3))),
        ("2 weeks", Duration(timedelta(days=14))),
        ("1 calendar day", Duration(calendar_days=1)),
        ("7 calendar days at 10:00", Duration(calendar_days=7, at=time(10))),
    ],
)
def test_durations_read_back_as_written(text: str, duration: Duration) -> None:
    step = flow_of("", f"- wait: {text}").program["1"]
    assert isinstance(step, WaitStep)
    assert step.duration == duration
    assert str(duration) == text.replace("2 weeks", "14 days")


@given(
    amount=st.integers(1, 3600),
    unit=st.sampled_from(["seconds", "minutes", "hours", "days", "weeks", "calendar days"]),
    at=st.none() | st.times(),
)
def test_a_duration_written_out_reads_as_the_same_duration(
    amount: int, unit: str, at: time | None
) -> None:
    clock = f" at {at:%H:%M}" if at and unit == "calendar days" else ""
    duration = parse_duration(f"{amount} {unit}{clock}")
    if unit == "weeks" and amount > 521:
        assert duration is None
    else:
        assert duration is not None
        assert parse_duration(str(duration)) == duration


def test_what_looks_like_another_type_is_read_as_written() -> None:
    head = HEAD.replace("name: Northwind Books", "name: 1984").replace(
        "postal_address: Keskuskatu 1, 00100 Helsinki", "postal_address: 00100"
    )
    head = head.replace("{COF-1KG: 28 days}", '{007: 1.10, 08: "5", no: 3 days}')
    loaded = load_text(f"{head}flows: {{}}\n")
    assert [one.message for one in loaded.findings] == [
        '"007" is a number or a duration in a table of texts',
        '"no" is a number or a duration in a table of texts',
    ]
    book = book_of(head.replace('"5"', "5").replace("3 days", "7") + "flows: {}\n")
    assert str(book.brand.name) == "1984"
    assert str(book.brand.postal_address) == "00100"
    assert book.tables["refill"] == {"007": Decimal("1.10"), "08": Decimal(5), "no": Decimal(7)}


def test_a_text_in_a_language_falls_back_to_the_language_and_then_to_the_brand() -> None:
    text = LocalText("Offers", {"en": "Offers", "pt": "Ofertas", "pt-BR": "Promoções"})
    said = [text.in_locale(locale) for locale in ("pt-BR", "pt-PT", "de", "en-GB")]
    assert said == ["Promoções", "Ofertas", "Offers", "Offers"]


def test_policies_fill_each_other_channel_by_channel() -> None:
    policies = (
        "policies:\n"
        "  default:\n"
        '    quiet_hours: {sms: "20:00-09:00"}\n'
        "    caps: {email: [2 per day, 5 per week]}\n"
        "    if_late: send within 12 hours\n"
        "  gentle: {caps: {sms: 1 per 30 days}}\n"
    )
    steps = "- send: cart/a\n  policy: {if_late: skip}\n"
    send = flow_of("policy: gentle", steps, HEAD + policies).program["1"]
    assert isinstance(send, SendStep)
    day = timedelta(days=1)
    assert send.policy.caps == {
        Channel.EMAIL: (Cap(2, day), Cap(5, 7 * day)),
        Channel.SMS: (Cap(1, 30 * day),),
        Channel.WHATSAPP: (Cap(3, day),),
    }
    assert send.policy.quiet_hours == {Channel.SMS: (ClockWindow(time(20), time(9)),)}
    assert send.if_late == IfLate(Lateness.SKIP)


def test_transactional_messages_have_no_caps_and_only_their_own_quiet_hours() -> None:
    policies = 'policies: {default: {quiet_hours: "20:00-09:00", caps: 1 per day}}\n'
    steps = '- send: order/a\n- send: order/b\n  policy: {quiet_hours: {sms: "22:00-07:00"}}\n'
    flow = flow_of("class: transactional", steps, HEAD + policies)
    first, second = flow.steps
    assert isinstance(first, SendStep)
    assert isinstance(second, SendStep)
    assert (first.policy.caps, first.policy.quiet_hours) == ({}, {})
    assert second.policy.quiet_hours == {Channel.SMS: (ClockWindow(time(22), time(7)),)}


def test_the_sign_up_confirmation_needs_no_topic_and_other_service_mail_does() -> None:
    flows = (
        "flows:\n"
        "  hello:\n"
        "    class: service\n"
        "    when: {event: contact.%s}\n"
        "    steps: [send: a/b]\n"
    )
    assert load_text(HEAD + flows % "subscribed").publishable
    assert [one.rule for one in load_text(HEAD + flows % "created").findings] == ["class"]


def test_a_step_may_use_the_output_of_any_step_that_can_be_before_it() -> None:
    flow = flow_of(
        "",
        "- if: lapsed\n"
        "  then: [{send: cart/a, id: a}]\n"
        "  otherwise: [{send: cart/b, id: b}]\n"
        "- if: a.clicked or b.clicked\n"
        "  then: [exit: clicked]\n",
    )
    step = flow.program["2"]
    assert isinstance(step, IfStep)
    assert str(step.condition) == "a.clicked or b.clicked"


def test_the_version_changes_with_the_content_and_not_with_the_layout() -> None:
    text = HEAD + "flows: {}\n"
    version = book_of(text).version_hash
    assert len(version) == 64
    reordered = "flows: {}\n" + text.replace("flows: {}\n", "# a comment\n")
    assert book_of(reordered).version_hash == version
    assert book_of(text.replace("Northwind Books", '"Northwind   Books"')).version_hash != version
    assert (
        book_of(text.replace("name: Northwind Books", 'name: "Northwind Books"')).version_hash
        == version
    )


def test_loading_twice_gives_the_same_book() -> None:
    assert load_text(SAMPLE).book == load_text(SAMPLE).book


def test_a_step_without_its_template_is_an_error_and_a_template_without_step_a_warning() -> None:
    loaded = load_text(
        f"{HEAD}flows:\n"
        "  cart:\n"
        "    class: transactional\n"
        "    when: manual\n"
        "    via: [email, sms]\n"
        "    steps: [send: cart/reminder]\n"
    )
    assert loaded.publishable
    files = [
        TemplateFile(Channel.EMAIL, "cart/reminder", "templates/email/cart/reminder.html"),
        TemplateFile(Channel.SMS, "cart/remainder", "templates/sms/cart/remainder.txt"),
    ]
    known = {(file.channel, file.name) for file in files}
    findings = check(loaded, lambda channel, name: (channel, name) in known, files)
    assert [(str(one.severity), one.file, one.message, one.hint) for one in findings] == [
        (
            "error",
            "flows.yaml",
            'there is no sms template "cart/reminder"',
            'did you mean "cart/remainder"?',
        ),
        (
            "warning",
            "templates/sms/cart/remainder.txt",
            'no step sends "cart/remainder" by sms',
            "remove the file, or name it in a step",
        ),
    ]
    assert (findings[0].line, findings[0].column) == loaded.place("cart", "1")


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("contact.orders.count == 0", "the number of their orders is 0"),
        ("contact.orders.last_at < now - days(60)", "their last order is before 60 days ago"),
        (
            "event.total >= 20 and lapsed",
            "its total is at least 20 and they are in the segment lapsed",
        ),
        ("not lapsed", "they are not in the segment lapsed"),
        ("not contact.consent.sms.news", "they have not agreed to news by sms"),
        ("contact.birthday is none", "their birthday is not known"),
        ("event.checkout_id == key", "it is about the same checkout"),
        ("has(contact.tags, 'vip')", '"vip" is among their tags'),
        ("any_item(order, category='coffee')", 'one of the items has category "coffee"'),
        (
            "count_events('product.viewed', days(30)) > 2",
            "the number of product.viewed events in the last 30 days is more than 2",
        ),
        (
            "lapsed and (contact.tracking or contact.points > 1)",
            (
                "they are in the segment lapsed and "
                "(they have agreed to tracking or their points is more than 1)"
            ),
        ),
    ],
)
def test_conditions_are_said_in_words(condition: str, sentence: str) -> None:
    flow = flow_of("", f'- if: "{condition}"\n  then: [exit: done]')
    step = flow.program["1"]
    assert isinstance(step, IfStep)
    assert say(step.condition) == sentence


def test_a_bare_exit_needs_no_reason() -> None:
    assert flow_of("", "- exit").program["1"] == ExitStep("1")
    assert flow_of("", "- exit:").program["1"] == ExitStep("1")


def test_companions_that_slips_know_are_keys_of_steps_and_never_begin_one() -> None:
    records = STEP.records()
    keys = {field.name for record in records.values() for field in record.fields}
    assert keys >= COMPANIONS
    assert not COMPANIONS & set(records)


def test_a_journey_is_explained_in_sentences() -> None:
    assert explain_flow(book_of(SAMPLE), "abandoned_cart") == (
        Path(__file__).parent / "sample_flows.explained.txt"
    ).read_text(encoding="utf-8")


def test_a_missing_template_is_told_beside_other_errors() -> None:
    text = SAMPLE.replace("send: cart/reminder", "send: cart/remindr", 1)
    loaded = load_text(text.replace("title: Abandoned cart", "titel: Abandoned cart", 1))
    assert loaded.book is None
    found = check(loaded, lambda _channel, name: name != "cart/remindr")
    told = [finding.message for finding in found]
    assert any("titel" in message for message in told)
    assert any("cart/remindr" in message for message in told)
