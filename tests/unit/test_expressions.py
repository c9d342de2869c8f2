"""Reading, asking and explaining conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.expressions import (
    Expression,
    Facts,
    Kind,
    StepOutput,
    Value,
    divide,
    evaluate,
    event_field,
    explain,
    holds,
    names_used,
    needs_event,
    segment_cycles,
    segments_used,
    too_big,
    vocabulary,
)
from orchestrator.domain.expressions.arithmetic import divide_whole, number_text, remainder
from orchestrator.domain.expressions.audience import audience_problems
from orchestrator.domain.expressions.values import same
from orchestrator.domain.expressions.wording import written
from orchestrator.flowfile.expressions import parse

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TABLES: Mapping[str, Mapping[str, Value]] = {"refill": {"COF-1KG": timedelta(days=28)}}
NAMES = (
    vocabulary(
        attributes={"points": Kind.NUMBER, "birthday": Kind.TIME, "plan": Kind.TEXT},
        topics=["offers"],
        segments=["lapsed", "big"],
        tables=TABLES,
    )
    .with_event()
    .with_item()
    .with_key()
    .with_steps({"first": StepOutput.SEND, "ticket": StepOutput.WEBHOOK})
)
ITEMS = [
    {"sku": "COF-1KG", "category": "coffee", "price": "12.50", "quantity": 2},
    {"sku": "CUP", "category": "ware", "price": "9.00"},
]
EVENTS: list[dict[str, object]] = [
    {"product": {"sku": "CUP", "colour": "red"}},
    {"product": {"sku": "COF-1KG"}, "data": {"colour": "red", "sku": "other"}},
    {"total": "40.00", "data": {"total": 1}},
]


def read(text: str, wanted: Kind | None = Kind.TRUTH) -> Expression:
    expression = parse(text, NAMES, wanted)
    assert isinstance(expression, Expression), expression
    return expression


SEGMENTS = {
    "big": read("contact.orders.total >= 100"),
    "lapsed": read("contact.orders.count > 0 and contact.orders.last_at < now - days(60)"),
}


def count(_type: str, _window: timedelta, where: Mapping[str, Value]) -> int:
    return sum(
        all(same(event_field(event, name), value) for name, value in where.items())
        for event in EVENTS
    )


FACTS = Facts(
    NOW,
    {
        "contact": {
            "email": "Ada@example.com",
            "first_name": "Ada",
            "tags": ["vip", "New"],
            "birthday": "1990-05-01",
            "points": 3,
            "created_at": NOW - timedelta(days=10),
            "orders": {"count": 3, "total": Decimal("40.10"), "last_at": NOW - timedelta(days=70)},
            "consent": {"email": {"offers": True}},
            "source": {"campaign": {"name": "spring"}, "spend": 0.1},
        },
        "event": {
            "checkout_id": "c1",
            "total": "40.10",
            "items": ITEMS,
            "data": {"keys": 1, "n": 5, "list": ["a", 1], "at": "2026-11-20T12:00:00+02:00"},
        },
        "order": {"items": ITEMS},
        "item": ITEMS[0],
        "key": "5",
        "tables": TABLES,
        "first": {"clicked": False, "opened": None},
        "ticket": {"id": 7, "items": {"get": True}},
    },
    SEGMENTS,
    count,
)


@pytest.mark.parametrize(
    "text",
    [
        "true and not false",
        "contact.orders.count == 3",
        "contact.orders.total == 40.1",
        "contact.orders.total == event.total",
        "event.total >= 20",
        "1 < contact.points <= 3 < 4",
        "not (1 < contact.points < 3)",
        "contact.source.spend + 0.2 == 0.3",
        "lapsed and not big",
        "contact.created_at > now - days(30)",
        "contact.created_at + days(10) == now",
        "now - contact.created_at == days(10)",
        "contact.birthday < '1990-05-02'",
        "contact.birthday == '1990-05-01 00:00'",
        "event.data.at == now",
        "contact.consent.email.offers",
        "'vip' in contact.tags and 'VIP' not in contact.tags",
        "has(contact.tags, 'New') and not has(contact.tags, 'new')",
        "contact.first_name in ['Ada', 'Bob']",
        "'example' in contact.email",
        "'ad' not in contact.first_name",
        "contact.first_name < 'a'",
        "'\ue000' < '😀'",
        "any_item(order, category='coffee', quantity=2)",
        "any_item(event, price=12.5)",
        "any_item(event.items, sku='CUP')",
        "not any_item(order, category='coffee', sku='CUP')",
        "not any_item(checkout, category='coffee')",
        "event.items[0].sku == 'COF-1KG' and event.items[-1].sku == 'CUP'",
        "event.items[5].sku is none",
        "event.items | length == 2",
        "count_events('product.viewed', days(30)) == 3",
        "count_events('product.viewed', days(30), colour='red') == 2",
        "count_events('product.viewed', days(30), sku='COF-1KG') == 1",
        "count_events('order.placed', days(30), total=40) == 1",
        "count_events('order.placed', days(30), currency=contact.plan) == 0",
        "tables.refill[item.sku] == days(28)",
        "tables.refill['COF-1KG'] > days(27)",
        "tables.refill[contact.first_name] is none",
        "event.data.n == key",
        "event.data.keys == 1",
        "ticket.items.get and ticket.id == 7",
        "has(event.data.list, 1) and not has(event.data.list, true)",
        "contact.first_name ~ ' ' ~ contact.points == 'Ada 3'",
        "contact.first_name | lower == 'ada' and contact.first_name | upper == 'ADA'",
        "contact.plan | default('free') == 'free'",
        "('a' if big else 'b') == 'b'",
        "('a' if big) is none",
        "7 // 2 == 3 and -7 // 2 == -3 and -7 % 2 == -1",
        "2 / 3 == 0.666666666667 and -1 / 3 == -0.333333333333",
        "days(1) == hours(24) and hours(1) == minutes(60) and days(0.5) == hours(12)",
        "days(3) * 2 == days(6) and days(3) / 2 == hours(36)",
        "contact.source['campaign'].name == 'spring'",
        "contact['first_name'] == 'Ada'",
    ],
)
def test_these_hold(text: str) -> None:
    assert holds(read(text), FACTS)


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_comparison_with_missing_is_false_and_its_negation_true(sign: str) -> None:
    for missing in ("contact.last_name", "contact.plan", "contact.source.nothing"):
        assert not holds(read(f"{missing} {sign} 'a'"), FACTS)
        assert not holds(read(f"'a' {sign} {missing}"), FACTS)
        assert holds(read(f"not ({missing} {sign} 'a')"), FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "contact.last_name in ['a']",
        "contact.last_name not in ['a']",
        "'a' in contact.orders.skus",
        "'a' not in contact.orders.skus",
        "has(contact.orders.skus, 'a')",
        "first.opened",
        "contact.phone ~ 'x' == 'x'",
        "contact.last_seen_at + days(1) < now",
        "1 / 0 == 0 or 1 // 0 == 0 or 1 % 0 == 0",
        "contact.source.campaign > 3 or contact.source.campaign == 3",
        "event.data.n < 'a' or event.data.n >= 'a'",
    ],
)
def test_missing_is_never_true(text: str) -> None:
    assert not holds(read(text), FACTS)
    assert holds(read(f"not ({text})"), FACTS)


def test_only_is_none_and_default_see_what_is_missing() -> None:
    assert holds(read("contact.phone is none and contact.email is not none"), FACTS)
    assert holds(read("(contact.points + contact.source.nothing) is none"), FACTS)
    assert evaluate(read("contact.phone | default('none given')", None), FACTS) == "none given"


def test_values_of_another_kind_than_declared_are_missing() -> None:
    facts = Facts(NOW, {"contact": {"points": "many", "birthday": "2023-02-29", "tags": "vip"}})
    for name in ("contact.points", "contact.birthday", "contact.tags"):
        assert holds(read(f"{name} is none"), facts)


def test_value_expressions_yield_exact_values() -> None:
    assert evaluate(read("contact.points + 10", Kind.NUMBER), FACTS) == Decimal(13)
    assert evaluate(read("now + days(1)", Kind.TIME), FACTS) == NOW + timedelta(days=1)
    assert evaluate(read("tables.refill[item.sku]", Kind.DURATION), FACTS) == timedelta(days=28)
    assert evaluate(read("[1, contact.phone]", None), FACTS) == (Decimal(1), None)


def test_times_beyond_the_calendar_are_missing() -> None:
    far = " + days(36000)" * 24
    facts = Facts(datetime(9990, 1, 1, tzinfo=UTC), {})
    assert holds(read(f"(now{far}) is none"), facts)


fractions = st.decimals(
    min_value=-(10**20), max_value=10**20, allow_nan=False, allow_infinity=False, places=5
)


@given(fractions, fractions.filter(bool))
def test_division_rounds_once_half_away_from_zero(left: Decimal, right: Decimal) -> None:
    quotient = divide(left, right)
    assert quotient is not None
    error = Fraction(quotient) - Fraction(left) / Fraction(right)
    half = Fraction(1, 2 * 10**12)
    assert abs(error) <= half
    if abs(error) == half:
        assert abs(Fraction(quotient)) > abs(Fraction(left) / Fraction(right))


@given(fractions, fractions.filter(bool))
def test_whole_quotient_and_remainder_make_the_dividend(left: Decimal, right: Decimal) -> None:
    whole, rest = divide_whole(left, right), remainder(left, right)
    assert whole is not None
    assert rest is not None
    assert Fraction(whole) * Fraction(right) + Fraction(rest) == Fraction(left)
    assert abs(rest) < abs(right)
    assert not rest or (rest < 0) == (left < 0)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1.50", "1.5"),
        ("1E+3", "1000"),
        ("-0.0", "0"),
        ("0.000", "0"),
        ("-2.10", "-2.1"),
        ("10", "10"),
    ],
)
def test_numbers_are_written_in_their_shortest_form(number: str, text: str) -> None:
    assert number_text(Decimal(number)) == text


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("contact.orders.count == 0", "orders.count is 3, wanted 0"),
        ("contact.orders.count == 3", "orders.count is 3"),
        ("contact.orders.count > 1", "orders.count is 3, more than 1"),
        ("event.total >= 50", "event.total is 40.1, wanted at least 50"),
        ("50 <= event.total", "event.total is 40.1, wanted at least 50"),
        ("contact.first_name != 'Ada'", 'first_name is "Ada", wanted something other than "Ada"'),
        ("contact.phone == 'x'", 'phone is missing, wanted "x"'),
        ("contact.first_name == contact.plan", 'first_name is "Ada", but plan is missing'),
        (
            "contact.created_at < now - days(60)",
            "created_at is 2026-11-10 10:00 UTC, wanted before 2026-09-21 10:00 UTC",
        ),
        (
            "now - contact.created_at > days(30)",
            "now - contact.created_at is 10 days, wanted longer than 30 days",
        ),
        ("contact.first_name in ['Bob', 'Eve']", 'first_name is "Ada", wanted one of "Bob", "Eve"'),
        ("'gold' in contact.tags", 'tags has no "gold" (it is "vip", "New")'),
        ("has(contact.tags, 'vip')", 'tags has "vip"'),
        ("has(contact.orders.skus, 'x')", "orders.skus is missing"),
        ("contact.phone is not none", "phone is missing, wanted a value"),
        ("contact.email is none", 'email is "Ada@example.com", wanted none'),
        ("big", 'is not in segment "big": orders.total is 40.1, wanted at least 100'),
        (
            "lapsed",
            (
                'is in segment "lapsed": orders.count is 3, more than 0; orders.last_at is '
                "2026-09-11 10:00 UTC, before 2026-09-21 10:00 UTC"
            ),
        ),
        ("not lapsed and contact.points == 3", None),
        ("not big", 'is not in segment "big": orders.total is 40.1, not at least 100'),
        ("first.clicked", "first.clicked is false"),
        ("contact.consent.email.offers", "consent.email.offers is true"),
        ("any_item(order, category='tea')", 'no item of order has category "tea"'),
        ("any_item(order, category='ware')", 'an item of order has category "ware"'),
        (
            "count_events('product.viewed', days(30)) >= 5",
            "product.viewed happened 3 times in 30 days, wanted at least 5",
        ),
        (
            "count_events('product.viewed', days(1), sku='CUP') > 1",
            'product.viewed with sku "CUP" happened once in 1 day, wanted more than 1',
        ),
        ("not (contact.phone is not none)", "phone is missing, not a value"),
        ("big or contact.points == 3", "points is 3"),
        (
            "contact.points == 1 or contact.points == 2",
            "points is 3, wanted 1; points is 3, wanted 2",
        ),
        ("contact.points == 3 and contact.points == 4", "points is 3, wanted 4"),
        ("1 < contact.points < 3", "points is 3, wanted less than 3"),
        ("true if big else contact.points == 4", "points is 3, wanted 4"),
    ],
)
def test_explanations_say_what_is_and_what_was_wanted(text: str, because: str | None) -> None:
    explanation = explain(read(text), FACTS)
    assert explanation.holds == holds(read(text), FACTS)
    if because is None:
        assert explanation.because.endswith("which rules it out")
    else:
        assert explanation.because == because


def test_names_of_an_expression_are_told() -> None:
    expression = read("lapsed and contact.orders.count > 0 and event.data.n == key")
    assert names_used(expression) == {"lapsed", "contact.orders.count", "event.data.n", "key"}
    assert segments_used(expression) == {"lapsed"}
    assert needs_event(expression)
    assert not needs_event(read("lapsed and first.clicked"))


def test_segments_in_a_circle_are_found_with_the_way_round() -> None:
    names = vocabulary(segments=["a", "b", "c", "d"])
    texts = {"a": "b or d", "b": "not c", "c": "a", "d": "true"}
    segments = {name: parse(text, names) for name, text in texts.items()}
    found = segment_cycles({k: v for k, v in segments.items() if isinstance(v, Expression)})
    assert found == {
        "a": ("a", "b", "c", "a"),
        "b": ("b", "c", "a", "b"),
        "c": ("c", "a", "b", "c"),
    }


def test_segments_that_double_are_too_big_to_be_asked() -> None:
    names = vocabulary(segments=[f"s{number}" for number in range(30)])
    segments: dict[str, Expression] = {}
    for number in range(30):
        before = f"s{number - 1}"
        parsed = parse(f"{before} or not {before}" if number else "contact.tracking", names)
        assert isinstance(parsed, Expression)
        segments[f"s{number}"] = parsed
    assert not too_big(segments["s5"], segments)
    assert too_big(segments["s29"], segments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("event.total > 3", "event is not known where people are chosen"),
        ("key == 'a'", "key is not known where people are chosen"),
        ("any_item(order, sku='a')", "any_item() needs an order or event, which is not known here"),
        ("contact.email | lower == 'a'", "lower is not available where people are chosen"),
        ("contact.tags[0] == 'a'", "contact.tags[0] is not available where people are chosen"),
        (
            "contact.created_at + days(contact.points) < now",
            "days(contact.points) differs from person to person",
        ),
        (
            "contact.source.a == contact.source.b",
            "contact.source.a and what it is compared with could be of any kind",
        ),
        (
            "count_events('a.b', days(1), sku=contact.source.a) > 0",
            "sku=contact.source.a could be of any kind",
        ),
    ],
)
def test_what_cannot_be_asked_in_sql_is_told(text: str, message: str) -> None:
    assert message in [problem.message for problem in audience_problems(read(text))]


@pytest.mark.parametrize("text", ["lapsed", "contact.tags | length > 1", "now > '2026-01-01'"])
def test_what_can_be_asked_in_sql_has_no_problem(text: str) -> None:
    assert audience_problems(read(text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "(contact.points + 1) * 2 - -3 > 1 and not (big or lapsed)",
        "('a' if big else 'b') ~ contact.points ~ 'it\\'s' in ['a', contact.plan | default('x')]",
        "count_events('a.b', hours(3), sku=contact.plan) // 2 >= 1",
        "tables.refill[contact.plan] is not none and event.items[0].sku == 'x'",
        "any_item(event.items, sku='a') and has(contact.tags, contact.first_name | lower)",
        "contact.source['x y'].z < 3 <= contact.points",
    ],
)
def test_a_written_tree_reads_back_the_same(text: str) -> None:
    once = written(read(text).root)
    assert written(read(once).root) == once
    assert holds(read(once), FACTS) == holds(read(text), FACTS)
