"""What is refused when a file is read: the place, the reason and the remedy of each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.expressions import Expression, Kind, StepOutput, vocabulary
from orchestrator.flowfile.expressions import parse

AUDIENCE = vocabulary(
    attributes={"points": Kind.NUMBER, "plan": Kind.TEXT},
    topics=["offers"],
    segments=["lapsed", "big"],
    tables={"refill": {"COF-1KG": "28"}},
)
NAMES = AUDIENCE.with_event().with_item().with_key().with_steps({"first": StepOutput.SEND})

REFUSED = [
    ("", 0, "the expression is empty", "write a condition, or remove the key"),
    ("contact.ordrs.count > 1", 8, 'contact has no field "ordrs"', "did you mean orders?"),
    ("contact.orders.cout > 1", 15, 'contact.orders has no field "cout"', "did you mean count?"),
    ("contacts.email == 'a'", 0, 'unknown name "contacts"', "did you mean contact?"),
    ("email == 'a'", 0, 'unknown name "email"', "did you mean contact.email?"),
    ("laps", 0, 'unknown name "laps"', "did you mean lapsed?"),
    ("lapsedd and big", 0, 'unknown name "lapsedd"', "did you mean lapsed?"),
    ("yes", 0, 'unknown name "yes"', "write true"),
    ("null", 0, 'unknown name "null"', "write `is none` for what is missing"),
    ("contact.points = 3", 15, '"=" is not a comparison', "write `==`"),
    ("contact.points === 3", 15, '"===" is not known', "write `==`"),
    ("contact.points => 3", 15, '"=>" is not known', "write `>=`"),
    ("contact.points <> 3", 15, '"<>" is not known', "write `!=`"),
    ("contact.points > 3 && big", 19, '"&&" is not known', "write `and`"),
    ("big || lapsed", 4, '"||" is not known', "write `or`"),
    ("!big", 0, '"!" is not known', "write `not`"),
    ("big AND lapsed", 4, '"AND" is not expected here', "write `and` in small letters"),
    (
        "contact.tags contains 'vip'",
        13,
        '"contains" is not expected here',
        "turn it round: `'vip' in contact.tags`, or has(contact.tags, 'vip')",
    ),
    (
        "lapsed lapsed",
        7,
        '"lapsed" is not expected here',
        "remove it, or join two conditions with `and` or `or`",
    ),
    ("{{ big }}", 0, "a condition stands without {{ }}", "remove the braces"),
    ("“big” == contact.plan", 0, "curly quotes are not known", "write straight quotes: 'text'"),
    ("contact.plan == 'gold", 16, "the quote is never closed", "write ' at the end of the text"),
    ("(big or lapsed", 0, '"(" is never closed', 'write ")" at its end'),
    ("big or lapsed)", 13, '")" closes nothing', "remove it, or open it with ("),
    ("contact.tags[0", 12, '"[" is never closed', 'write "]" at its end'),
    (
        "contact.points >",
        16,
        "the expression ends too early",
        "complete it, or remove the last sign",
    ),
    (
        "and big",
        0,
        'an expression does not begin with "and"',
        "write a condition before it, or remove it",
    ),
    ("contact.points ** 2 > 4", 15, '"**" (power) is not available', "multiply instead"),
    ("'ab' * 3 == 'ababab'", 0, "a text is not repeated", "write the text out"),
    (
        "contact.plan + 'x' == 'ax'",
        0,
        "a text plus a text is not a sum",
        "join texts with ~: `contact.plan ~ 'x'`",
    ),
    (
        "contact.plan % 3 == 1",
        0,
        "a text % a number has no meaning",
        "calculate with numbers, or with times and durations",
    ),
    ("{'a': 1}", 0, "groups in braces are not available", "write a list in [ ]"),
    ("range(10)", 0, 'unknown function "range"', "write the values out in a list"),
    ("contact.plan.upper() == 'A'", 13, "upper() of a field is not called", "write `| upper`"),
    ("event.items() == 1", 6, "items() of a field is not called", "write .items without ( )"),
    ("cycler(1)", 0, 'unknown function "cycler"', "write a condition"),
    ("has(contact.tags)", 0, "has: takes a list and a value", "write has(list, value)"),
    (
        "any_item(order)",
        0,
        "any_item: takes event, checkout or order, then field=value",
        "write any_item(order, category='coffee')",
    ),
    (
        "any_item(contact, sku='a')",
        0,
        "any_item: looks into event, checkout or order",
        "write any_item(order, category='coffee')",
    ),
    (
        "any_item(order, colour='red')",
        16,
        'item has no field "colour"',
        "known are category, id, image, name, price, product_id, quantity, sku, url",
    ),
    ("any_item(order, sku=3)", 20, "sku is a text, 3 is a number", "compare sku with a text"),
    (
        "count_events('product.viewed')",
        0,
        "count_events: takes an event type, a duration, field=value",
        "write count_events('product.viewed', days(30))",
    ),
    (
        "count_events('viewed', days(3)) > 1",
        13,
        "'viewed' is not an event type",
        "write a dotted name such as 'product.viewed'",
    ),
    (
        "count_events('product.viewed', 30) > 1",
        31,
        "30 is a number, a duration is needed here",
        "write days(3), hours(4) or minutes(30)",
    ),
    (
        "count_events(contact.plan, days(3)) > 1",
        0,
        "count_events: the event type is a text in quotes",
        "write count_events('product.viewed', days(30))",
    ),
    (
        "count_events('product.viewed', days(3), items=1) > 1",
        40,
        'event has no field "items"',
        "known are checkout_id, checkout_url, currency, order_id, rating, score, text, total",
    ),
    ("days('3') > hours(1)", 5, "'3' is a text, a number is needed here", "write a number"),
    ("days() > hours(1)", 0, "days: takes one number", "write days(30)"),
    ("days(40000) > hours(1)", 0, "days(40000) is longer than 100 years", "write fewer days"),
    ("contact.plan is defined", 13, '"is defined" is not available', "write `is not none`"),
    ("contact.plan is not null", 13, '"is not null" is not available', "write `is not none`"),
    ("contact.plan is string", 13, '"is string" is not available', "write `==` to compare"),
    (
        "contact.points == '3'",
        0,
        "`contact.points == '3'`: a number never compares with a text",
        "write the number without quotes: 3",
    ),
    (
        "contact.plan == 3",
        0,
        "`contact.plan == 3`: a text never compares with a number",
        "write the text in quotes: '3'",
    ),
    (
        "contact.tags == 'vip'",
        0,
        "contact.tags is a list, not one value",
        "write `has(contact.tags, 'vip')`",
    ),
    (
        "contact.tags",
        0,
        "contact.tags is a list, not a condition",
        "ask for an element, as in `has(contact.tags, 'x')`, or `contact.tags | length > 0`",
    ),
    (
        "contact.points",
        0,
        "contact.points is a number, not a condition",
        "compare it, as in `contact.points > 0`",
    ),
    (
        "contact.email or 'friend'",
        17,
        "`or` joins conditions; 'friend' is a text",
        "write `contact.email | default('friend')`",
    ),
    (
        "contact.orders",
        0,
        "contact.orders is a group of fields, not a condition",
        "compare one of its fields",
    ),
    (
        "contact.orders == 3",
        0,
        "contact.orders is a group of fields, not one value",
        "compare one of its fields",
    ),
    ("contact.plan == none", 16, "`==` with none is always false", "write `contact.plan is none`"),
    (
        "contact.created_at < 30",
        0,
        "`contact.created_at < 30`: a time never compares with a number",
        "compare with a time, as in `now - days(30)`",
    ),
    (
        "contact.created_at > days(3)",
        0,
        "`contact.created_at > days(3)`: a time never compares with a duration",
        "compare with a time, as in `now - days(30)`",
    ),
    (
        "contact.created_at > 'yesterday'",
        0,
        "`contact.created_at > 'yesterday'`: a time never compares with a text",
        "write a time as '2026-12-01' or '2026-12-01 10:00' (UTC)",
    ),
    (
        "now - 3 > contact.created_at",
        0,
        "a time - a number has no unit",
        "write days(3), hours(...) or minutes(...)",
    ),
    (
        "contact.tracking < true",
        0,
        "true and false have no order for `<`",
        "use ==, != or the name alone",
    ),
    ("3 in contact.tags", 0, "a number is never in a list of texts", "`contact.tags` holds texts"),
    (
        "contact.plan in 'a' in contact.points",
        23,
        "`in` needs a list or a text, not a number",
        "write a list: `'a' in [contact.points]`",
    ),
    (
        "contact.points in 3",
        18,
        "`in` needs a list or a text, not a number",
        "write a list: `contact.points in [3]`",
    ),
    (
        "contact.plan | title",
        15,
        'unknown filter "title"',
        "known are default, length, lower, upper",
    ),
    ("contact.points | upper == 'A'", 0, "upper needs a text, not a number", "remove `| upper`"),
    ("contact.plan | default == 'a'", 15, "default takes one value", "write `| default('friend')`"),
    ("tables.refil['a'] == 'x'", 7, 'tables has no field "refil"', "did you mean refill?"),
    (
        "tables.refill['COF-1K'] == 'x'",
        15,
        'tables.refill has no entry "COF-1K"',
        "did you mean COF-1KG?",
    ),
    (
        "tables['refill'][contact.tags] == 'x'",
        17,
        "a key is a text, not a list",
        "write a text or a field",
    ),
    ("contact.tags[1:2]", 12, "parts of a list are not available", "write [0]"),
    (
        "('a', 'b')",
        1,
        "values in ( ) are not available",
        "write a list in [ ], or one condition joined with `and`",
    ),
    ("+1 > 0", 0, 'a "+" before a value does nothing', "remove it"),
    (
        "event.step == 'first'",
        6,
        'event has no field "step"',
        "a field of your own is under data: event.data.step",
    ),
    (
        "event.items.sku == 'a'",
        12,
        'a list has no field "sku"',
        "write any_item(...) or has(...) to look into a list",
    ),
    (
        "contact.plan == '\\d'",
        17,
        "a backslash begins nothing known here",
        "write \\\\ for a backslash",
    ),
    (
        "99999999999999999999999999999999 > 1",
        0,
        "the number is too big",
        "at most 30 digits before and after the point",
    ),
    ("0x10 > 1", 0, "0x10 is not a decimal number", "write it in digits"),
    (
        "contact.points > 1 if",
        21,
        "the expression ends too early",
        "complete it, or remove the last sign",
    ),
    ("contact['emal'] == 'a'", 9, 'contact has no field "emal"', "did you mean email?"),
    ("first.opend", 6, 'a send has no field "opend"', "did you mean opened?"),
    (
        "1 if big else 2",
        0,
        "1 if big else 2 is a number, not a condition",
        "compare it, as in `1 if big else 2 > 0`",
    ),
    (
        "contact.plan ~ contact.tags == 'a'",
        15,
        "~ joins texts and numbers, not a list",
        "leave out `contact.tags`",
    ),
    ("-contact.plan == 'a'", 0, "minus needs a number, not a text", "remove the minus"),
    (
        "$5 < event.total",
        0,
        '"$" is not known',
        "write the number alone; totals are in the shop's currency",
    ),
    ("contact.points > 1; big", 18, '";" is not known', "write one condition; join two with `and`"),
    (
        "not not not not not not not not not not not big",
        40,
        "the expression is nested too deeply",
        "write it flatter, or move a part into a segment",
    ),
    (
        "contact.points ? 1 : 2",
        15,
        '"?" is not known',
        "write `a if condition else b`, or `is none` for what is missing",
    ),
    (
        "has(contact.tags, *event.items)",
        0,
        "* and ** are not available in a call",
        "write has(list, value)",
    ),
    ("len(contact.tags) > 1", 0, 'unknown function "len"', "write `| length`"),
    (
        "contact.email.split('@')",
        14,
        "split() of a field is not called",
        "known functions are has, any_item, count_events, days, hours, minutes",
    ),
    ("weeks(2) > days(1)", 0, 'unknown function "weeks"', "write days(7 * n)"),
    (
        "(contact.plan)(3)",
        9,
        "plan() of a field is not called",
        "known functions are has, any_item, count_events, days, hours, minutes",
    ),
]


@pytest.mark.parametrize(("text", "offset", "message", "hint"), REFUSED)
def test_refused_with_place_reason_and_remedy(
    text: str, offset: int, message: str, hint: str
) -> None:
    problems = parse(text, NAMES)
    assert not isinstance(problems, Expression)
    found = [(each.offset, each.message, each.hint) for each in problems]
    assert found == [(offset, message, hint)]
    assert problems[0].length >= 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("event", "there is no event here; people are chosen by what is known of them"),
        ("order", "there is no event here; people are chosen by what is known of them"),
        ("item", "only a trigger with `each` has an item"),
        ("key", "only a run that has begun has a key"),
    ],
)
def test_names_of_other_places_are_refused_with_the_reason(name: str, why: str) -> None:
    problems = parse(f"{name} == 'a'", AUDIENCE)
    assert not isinstance(problems, Expression)
    assert problems[0].message == f"{name} is not known here: {why}"


def test_everything_wrong_is_told_at_once() -> None:
    problems = parse("contact.emal == 'a' and foo and contact.points == '3'", NAMES)
    assert not isinstance(problems, Expression)
    assert [each.offset for each in problems] == [8, 24, 32]


def test_places_count_through_line_breaks() -> None:
    problems = parse("big and\r\n  contact.emal == 'a'", NAMES)
    assert not isinstance(problems, Expression)
    assert [each.offset for each in problems] == [19]


@pytest.mark.parametrize(
    ("wanted", "text", "message"),
    [
        (Kind.DURATION, "3", "3 is a number, a duration is needed here"),
        (Kind.TIME, "days(3)", "days(3) is a duration, a time is needed here"),
        (Kind.NUMBER, "'3'", "'3' is a text, a number is needed here"),
    ],
)
def test_the_place_says_what_it_needs(wanted: Kind, text: str, message: str) -> None:
    problems = parse(text, NAMES, wanted)
    assert not isinstance(problems, Expression)
    assert problems[0].message == message


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(["contact.points > 0"] * 80),
        " + ".join(["contact.points"] * 40) + " > 0",
        "contact.points" + " | default(1)" * 150 + " > 0",
        "(" * 500 + "1" + ")" * 500,
        "[" * 900,
        "not " * 900 + "big",
        "-" * 900 + "1 > 0",
        "true" + " if big else false" * 150,
        "big " * 2000,
    ],
)
def test_what_could_run_away_is_refused(text: str) -> None:
    problems = parse(text, NAMES)
    assert not isinstance(problems, Expression)
    words = ("too big", "too long", "too deeply", "never closed")
    assert any(word in problems[0].message for word in words)


WORDS = [
    *"contact.points contact.tags contact.nope event event.items big key now first.clicked".split(),
    *"'a' \"b\" 1 2.5 ( ) [ ] { } , . | ~ + - * / // % ** == != < <= > >= =".split(),
    *"and or not in is none if else has days any_item count_events( default lower".split(),
    *"{{ }} {% # & ! ' \" \\ ä 😀 range".split(),
    *("\r\n", "\n", " "),
]


@settings(settings.get_profile("fuzz"))
@given(st.lists(st.sampled_from(WORDS), max_size=14), st.sampled_from(["", " "]))
def test_any_text_is_read_or_refused_inside_itself(words: list[str], between: str) -> None:
    text = between.join(words)
    read = parse(text, NAMES, None)
    if not isinstance(read, Expression):
        assert read
        assert all(0 <= each.offset <= len(text) for each in read)
        assert all(each.message and each.hint for each in read)
