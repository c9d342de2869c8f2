"""One condition, three readings: Python, SQLite and PostgreSQL choose the same people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, insert, select
from sqlalchemy import event as sqlalchemy_event

from orchestrator.domain.expressions import (
    ATTRIBUTE_KINDS,
    Expression,
    Facts,
    Value,
    divide,
    event_field,
    holds,
    vocabulary,
)
from orchestrator.domain.expressions.audience import audience_problems
from orchestrator.domain.expressions.values import same
from orchestrator.flowfile.expressions import parse
from orchestrator.storage import tables
from orchestrator.storage.expression_sql import (
    compile_condition,
    count_statement,
    register_functions,
)

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ATTRIBUTES = {
    "points": "number",
    "level": "number",
    "plan": "text",
    "vip": "boolean",
    "birthday": "date",
    "renewal": "time",
    "groups": "list",
}
TABLES: Mapping[str, Mapping[str, Value]] = {
    "refill": {"a": timedelta(days=28), "B": timedelta(hours=5)},
    "weights": {"a": Decimal("1.5"), "1": Decimal(-2), "é": Decimal(7)},
    "mixed": {"a": "1.50", "ab": Decimal(2), "é": timedelta(days=1), "1": Decimal(0)},
    "words": {"a": "A", "ab": "zß", "1.5": "half"},
}
_SEGMENTS = {
    "spender": "contact.orders.total > 50 and contact.orders.count >= 2",
    "quiet": "contact.last_seen_at < now - days(30) or contact.last_seen_at is none",
    "lost": "quiet and not spender",
}
NAMES = vocabulary(
    attributes={name: ATTRIBUTE_KINDS[kind] for name, kind in ATTRIBUTES.items()},
    topics=["news", "offers"],
    segments=_SEGMENTS,
    tables=TABLES,
)


def read(text: str) -> Expression:
    expression = parse(text, NAMES)
    assert isinstance(expression, Expression), (text, expression)
    return expression


SEGMENTS = {name: read(text) for name, text in _SEGMENTS.items()}

# People

WORDS = [
    "",
    "a",
    "A",
    "b",
    "ab",
    "aB",
    "Ab",
    "é",
    "É",
    "z",
    "ß",
    "😀",
    "\ue000",
    "1",
    "1.5",
    "a'\"\\%_",
]
words = st.sampled_from(WORDS)
amounts = st.sampled_from(
    [0, 1, 2, 3, -1, 0.1, 0.2, 0.3, 2.5, -2.5, 1e-7, 123456789.125, 10**17 + 1, 1e30, 1e35, -0.0]
)
money = st.sampled_from([Decimal(text) for text in "0 0.10 0.3 50 50.01 99.99 1e3 -5".split()])
times = st.sampled_from(
    [
        NOW,
        NOW - DAY,
        NOW - 30 * DAY,
        NOW - 30 * DAY - timedelta(microseconds=1),
        NOW + DAY,
        datetime(1999, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ]
)
dates = st.sampled_from(["2026-11-20", "2024-02-29", "2023-02-29", "1990-05-01", "soon", ""])
instants = st.sampled_from(
    [
        "2026-11-20T10:30:00Z",
        "2026-11-20T12:30:00+02:00",
        "2026-10-21 10:30",
        "2026-11-20T10:30:00.5Z",
        "9999-12-31T23:00:00-05:00",
        "2026-13-01T00:00:00Z",
        "2026-11-20T25:00:00Z",
        "2026-01-01",
    ]
)
anything = st.one_of(
    words, amounts, st.booleans(), st.none(), st.lists(words, max_size=3), st.just({}), instants
)
attributes = st.fixed_dictionaries(
    {},
    optional={
        "points": st.one_of(amounts, st.sampled_from(["12.50", "1e3", "x", None, True])),
        "level": amounts,
        "plan": st.one_of(words, st.sampled_from([None, 3])),
        "vip": st.sampled_from([True, False, None, "yes"]),
        "birthday": dates,
        "renewal": instants,
        "groups": st.one_of(st.lists(words, max_size=3), st.sampled_from(["ab", None])),
    },
)
events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["product.viewed", "order.placed"]),
        "occurred_at": times,
        "payload": st.fixed_dictionaries(
            {},
            optional={
                "total": st.sampled_from(["12.50", "0.30", 3, None]),
                "currency": words,
                "product": st.fixed_dictionaries(
                    {},
                    optional={"sku": words, "price": st.sampled_from(["3", 3]), "size": anything},
                ),
                "data": st.fixed_dictionaries({}, optional={"sku": words, "size": anything}),
            },
        ),
    }
)
consents = st.dictionaries(
    st.tuples(st.sampled_from(["email", "sms"]), st.sampled_from(["news", "offers", "*"])),
    st.tuples(st.sampled_from(["granted", "withdrawn", "requested"]), st.none() | times),
    max_size=4,
)


@dataclass(frozen=True)
class Person:
    """A made-up contact, as the tables and as the evaluator see it."""

    columns: dict[str, Any]
    orders_total: Decimal
    events: list[dict[str, Any]] = field(default_factory=list)
    consents: dict[tuple[str, str], tuple[str, datetime | None]] = field(default_factory=dict)
    shop_id: str | None = None

    def row(self, identity: str) -> dict[str, Any]:
        return {
            "id": identity,
            "shard": 0,
            "updated_at": NOW,
            "orders_total": self.orders_total,
        } | (self.columns)

    def facts(self, identity: str) -> Facts:
        columns = json.loads(json.dumps(self.columns, default=lambda _: None))
        names = columns | {key: value for key, value in self.columns.items() if key.endswith("_at")}
        count = self.columns["orders_count"]
        orders = {
            name: names.pop(f"orders_{name}")
            for name in ("count", "first_at", "last_at", "skus", "categories")
        }
        orders["total"] = self.orders_total
        orders["average"] = divide(self.orders_total, Decimal(count))
        contact = {
            **names.pop("attributes"),
            **names,
            "id": self.shop_id or identity,
            "orders": orders,
            "consent": {
                channel: {topic: self._allowed(channel, topic) for topic in ("news", "offers")}
                for channel in ("email", "sms", "whatsapp")
            },
        }
        return Facts(NOW, {"contact": contact, "tables": TABLES}, SEGMENTS, self._count)

    def _allowed(self, channel: str, topic: str) -> bool:
        state = self.consents.get((channel, topic)) or self.consents.get((channel, "*"))
        return bool(state and state[0] == "granted" and (state[1] is None or state[1] > NOW))

    def _count(self, kind: str, window: timedelta, where: Mapping[str, Value]) -> int:
        return sum(
            event["type"] == kind
            and NOW - window < event["occurred_at"] <= NOW
            and all(
                same(event_field(event["payload"], name), value) for name, value in where.items()
            )
            for event in self.events
        )


people = st.builds(
    Person,
    columns=st.fixed_dictionaries(
        {
            "email": st.none() | words,
            "phone": st.none(),
            "first_name": st.none() | words,
            "last_name": st.none() | words,
            "locale": st.sampled_from([None, "en", "fi"]),
            "timezone": st.none(),
            "country": st.sampled_from([None, "FI", "fi"]),
            "tracking": st.booleans(),
            "tags": st.lists(words, max_size=3),
            "attributes": attributes,
            "source": st.dictionaries(st.sampled_from(["a", "b", "x y"]), anything, max_size=3),
            "orders_count": st.integers(0, 4),
            "orders_first_at": st.none() | times,
            "orders_last_at": st.none() | times,
            "orders_skus": st.lists(words, max_size=2),
            "orders_categories": st.lists(words, max_size=2),
            "created_at": times,
            "last_seen_at": st.none() | times,
        }
    ),
    orders_total=money,
    events=st.lists(events, max_size=3),
    consents=consents,
    shop_id=st.sampled_from([None, "a", "é"]),
)

# Expressions


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def joined(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda chosen: template.format(*chosen))


def one_of(*strategies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(strategies)


text_literals = words.map(quoted)
free = st.sampled_from(["contact.source.a", "contact.source.b", "contact.source['x y']"])
text_fields = st.sampled_from(
    [
        "contact.email",
        "contact.first_name",
        "contact.last_name",
        "contact.plan",
        "contact.country",
        "contact.id",
    ]
)
number_fields = st.sampled_from(
    [
        "contact.orders.count",
        "contact.orders.total",
        "contact.orders.average",
        "contact.points",
        "contact.level",
        "contact.tags | length",
        "contact.first_name | length",
        "contact.groups | length",
    ]
)
number_literals = st.sampled_from(
    "0 1 2 3 -1 0.1 0.3 2.5 50 99.99 0.000000000001 1e3 100000000000000001 7".split()
)
lists = st.sampled_from(
    ["contact.tags", "contact.groups", "contact.orders.skus", "contact.orders.categories"]
)
counts = st.one_of(
    joined(
        "count_events('{}', days({}))",
        st.sampled_from(["product.viewed", "order.placed"]),
        st.sampled_from(["1", "30", "0", "36000"]),
    ),
    joined(
        "count_events('product.viewed', days(31), {})",
        st.one_of(
            joined("sku={}", text_literals | text_fields),
            joined(
                "size={}",
                text_literals | number_literals | st.sampled_from(["true", "contact.points"]),
            ),
            joined(
                "currency={}, total={}",
                text_literals,
                st.sampled_from(["12.5", "3", "contact.level"]),
            ),
            joined("price={}", st.sampled_from(["3", "contact.orders.count"])),
        ),
    ),
)
lengths = st.sampled_from(
    ["days(1)", "days(30)", "hours(0.5)", "minutes(90)", "-days(2)", "days(3) * 2"]
)
time_fields = st.sampled_from(
    [
        "contact.created_at",
        "contact.last_seen_at",
        "contact.orders.last_at",
        "contact.orders.first_at",
        "contact.birthday",
        "contact.renewal",
    ]
)
moments = st.one_of(
    time_fields,
    joined("({} {} {})", time_fields | st.just("now"), st.sampled_from("+-"), lengths),
    st.sampled_from(["now", "'2026-11-20'", "'2026-10-21 10:30'", "(now - days(60))"]),
)
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
memberships = st.sampled_from(["in", "not in"])


@st.composite
def numbers(draw: st.DrawFn, level: int = 2) -> str:
    leaves = number_fields | number_literals | counts
    if not level or draw(st.booleans()):
        return f"({draw(leaves)})"
    inner, conditional = numbers(level - 1), conditions(level - 1)
    return draw(
        one_of(
            joined("({} {} {})", inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
            joined("({} - {})", inner, free),
            joined("(-{})", inner),
            joined("({} if {} else {})", inner, conditional, inner),
            joined("({} | default({}))", inner, inner),
            joined("tables.weights[{} ~ '']", texts(level - 1)),
            joined("(({}) | length)", texts(level - 1)),
        )
    )


@st.composite
def texts(draw: st.DrawFn, level: int = 2) -> str:
    if not level or draw(st.booleans()):
        return str(draw(text_fields | text_literals))
    inner = texts(level - 1)
    return draw(
        one_of(
            joined("({} ~ {})", inner, inner | numbers(level - 1) | free),
            joined("({} if {} else {})", inner, conditions(level - 1), inner),
            joined("({} | default({}))", inner, inner),
            joined("tables.words[{} ~ '']", inner | numbers(level - 1) | free),
        )
    )


@st.composite
def conditions(draw: st.DrawFn, level: int = 3) -> str:
    values = max(level - 1, 0)
    if level and draw(st.booleans()):
        inner = conditions(level - 1)
        return draw(
            one_of(
                joined("(not {})", inner),
                joined("({} and {})", inner, inner),
                joined("({} or {} or {})", inner, inner, inner),
                joined("({} if {} else {})", inner, inner, inner),
                joined("({} == {})", inner, inner),
            )
        )
    text, number = texts(values), numbers(values)
    return draw(
        one_of(
            joined("({} {} {})", text, signs, text),
            joined("({} {} {})", number, signs, number),
            joined("({} {} {} {} {})", number, signs, number, signs, number),
            joined("({} {} {})", moments, signs, moments).filter(comparable),
            joined("({} - {} {} {})", time_fields, time_fields | st.just("now"), signs, lengths),
            joined("(now - contact.created_at > tables.refill[{} ~ ''])", text),
            joined("({} {} {})", free, signs, text | number),
            joined("({} {} {})", free, signs, moments),
            joined("({} < {} {})", free, moments, st.sampled_from(["", "< now"])).filter(
                comparable
            ),
            joined("({} {} {})", number | text_literals, signs, free),
            joined("({} {} {})", text, memberships, lists | text),
            joined("({} {} {})", free, memberships, lists | text),
            joined("({} {} {})", text | number_literals, memberships, free),
            joined("({} {} [{}, {}])", text | free, memberships, text, text),
            joined("({} {} [{}, {}])", number | free, memberships, number, number),
            joined("has({}, {})", lists | free, text),
            joined(
                "({} is {}none)",
                text | number | free | lists | time_fields,
                st.sampled_from(["", "not "]),
            ),
            joined("({} | default({}) == {})", free, text, text),
            joined("(tables.mixed[{} ~ ''] {} {})", text, signs, text | number),
            joined("(tables.mixed[{} ~ ''] ~ '' == {})", text, text),
            joined("(tables.mixed[{} ~ ''] is none)", text),
            joined("tables.mixed[{} ~ '']", text),
            joined("(({} if {} else {}) != {})", free, st.just("contact.tracking"), text, text),
            st.sampled_from(["contact.vip", "contact.tracking", "contact.consent.email.news"]),
            st.sampled_from(["contact.consent.sms.offers", *_SEGMENTS, "true"]),
            joined(
                "(contact.vip {} {})",
                st.sampled_from(["==", "!="]),
                st.sampled_from(["true", "false"]),
            ),
            free,
        )
    )


def comparable(text: str) -> bool:
    return text.count("'") <= 2


# The databases


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url.replace("postgresql://", "postgresql+psycopg://"))
    if engine.dialect.name == "sqlite":
        sqlalchemy_event.listen(engine, "connect", lambda each, _: register_functions(each))
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


def identity(number: int) -> str:
    return str(UUID(int=number + 1))


def store(connection: Connection, group: list[Person]) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "contact": [],
        "identity": [],
        "event": [],
        "state": [],
    }
    for number, person in enumerate(group):
        contact_id = identity(number)
        own = {"shard": 0, "contact_id": contact_id}
        rows["contact"].append(person.row(contact_id))
        if person.shop_id:
            rows["identity"].append(
                own
                | {"kind": "id", "value": f"{person.shop_id}", "created_at": NOW, "shard": number}
            )
        for place, each in enumerate(person.events):
            known = {"id": identity(1000 * (number + 1) + place), "source": "t", "source_id": ""}
            rows["event"].append(own | known | {"received_at": NOW, "attempts": 0} | each)
        for (channel, topic), (status, expires_at) in person.consents.items():
            state = {"channel": channel, "topic": topic, "status": status, "expires_at": expires_at}
            rest = {"legal_basis": "consent", "subject_id": contact_id, "seq": 1, "changed_at": NOW}
            rows["state"].append(own | state | rest)
    targets = (tables.contact, tables.contact_identity, tables.event, tables.consent_state)
    for table, each_row in zip(targets, rows.values(), strict=True):
        if each_row:
            connection.execute(insert(table), each_row)


def chosen_in_sql(connection: Connection, asked: list[Expression]) -> list[set[str]]:
    compiled = [
        compile_condition(
            expression,
            now=NOW,
            dialect=connection.dialect.name,
            segments=SEGMENTS,
            tables=TABLES,
        ).label(f"c{number}")
        for number, expression in enumerate(asked)
    ]
    rows = connection.execute(select(tables.contact.c.id, *compiled)).all()
    assert all(verdict is not None for row in rows for verdict in row[1:])
    return [{row[0] for row in rows if row[place]} for place in range(1, len(asked) + 1)]


def test_python_and_sql_choose_the_same_people(engine: Engine) -> None:
    @settings(max_examples=max(settings().max_examples // 2, 1))  # each asks several expressions
    @given(
        group=st.lists(people, min_size=1, max_size=8),
        texts_asked=st.lists(conditions(), min_size=1, max_size=6),
    )
    def agree(group: list[Person], texts_asked: list[str]) -> None:
        asked = [read(text) for text in texts_asked]
        asked = [expression for expression in asked if not audience_problems(expression)]
        with engine.connect() as connection:
            store(connection, group)
            found = chosen_in_sql(connection, asked)
            connection.rollback()
        for expression, ids in zip(asked, found, strict=True):
            note(expression.text)
            wanted = {
                identity(number)
                for number, person in enumerate(group)
                if holds(expression, person.facts(identity(number)))
            }
            assert ids == wanted, expression.text

    agree()


def someone(**columns: Any) -> Person:
    """A person without anything but what is told."""
    texts = "email phone first_name last_name locale timezone country last_seen_at".split()
    lists_told: dict[str, Any] = {"tags": [], "orders_skus": [], "orders_categories": []}
    empty = dict.fromkeys([*texts, "orders_first_at", "orders_last_at"], None) | lists_told
    known = {"attributes": {}, "source": {}, "tracking": False, "orders_count": 0}
    total = columns.pop("orders_total", Decimal(0))
    return Person({**empty, **known, "created_at": NOW, **columns}, orders_total=total)


GROUP = [
    someone(first_name="Ada", tags=["vip"], orders_count=3, orders_total=Decimal("0.30")),
    someone(first_name="ada", attributes={"points": 0.1, "renewal": "9999-12-31T23:00:00-05:00"}),
    someone(
        first_name="Ädä", attributes={"points": "0.10", "birthday": "2024-02-29"}, tags=["VIP"]
    ),
    someone(attributes={"points": "many", "birthday": "2023-02-29"}, source={"a": 1e35, "b": "1"}),
]


@pytest.mark.parametrize(
    ("text", "numbers_chosen"),
    [
        ("contact.first_name == 'ada'", {1}),
        ("contact.first_name != 'ada'", {0, 2}),
        ("not (contact.first_name == 'ada')", {0, 2, 3}),
        ("contact.first_name > 'a'", {1, 2}),
        ("contact.points * 3 == 0.3", {1, 2}),
        ("contact.points is none", {0, 3}),
        ("contact.orders.average == 0.1", {0}),
        ("contact.orders.average is none", {1, 2, 3}),
        ("contact.orders.total / 7 == 0.042857142857", {0}),
        ("'vip' in contact.tags", {0}),
        ("'vip' not in contact.tags", {1, 2, 3}),
        ("contact.birthday is not none", {2}),
        ("contact.birthday == '2024-02-29'", {2}),
        ("contact.renewal is none", {0, 1, 2, 3}),
        ("contact.source.a is none", {0, 1, 2, 3}),
        ("contact.source.b == 1", set()),
        ("contact.source.b == '1'", {3}),
        ("contact.first_name | length == 3", {0, 1, 2}),
    ],
)
def test_hard_cases_are_chosen_alike(engine: Engine, text: str, numbers_chosen: set[int]) -> None:
    wanted = {identity(number) for number in numbers_chosen}
    expression = read(text)
    with engine.connect() as connection:
        store(connection, GROUP)
        assert chosen_in_sql(connection, [expression]) == [wanted]
    assert wanted == {
        identity(number)
        for number, person in enumerate(GROUP)
        if holds(expression, person.facts(identity(number)))
    }


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({}, 2),
        ({"sku": "a"}, 1),
        ({"sku": "A"}, 0),
        ({"total": Decimal("12.5")}, 1),
        ({"gift": True}, 1),
        ({"gift": Decimal(1)}, 0),
        ({"total": Decimal("12.5"), "sku": "b"}, 1),
    ],
)
def test_events_of_one_person_are_counted_alike(
    engine: Engine, where: dict[str, Value], count: int
) -> None:
    viewed = {"type": "product.viewed", "occurred_at": NOW}
    events = [
        viewed | {"payload": {"product": {"sku": "a"}, "data": {"gift": True, "sku": "c"}}},
        viewed | {"payload": {"total": "12.50", "data": {"sku": "b"}}},
        viewed | {"payload": {"product": {"sku": "a"}}, "occurred_at": NOW - 3 * DAY},
        viewed | {"payload": {"product": {"sku": "a"}}, "occurred_at": NOW + DAY},
        viewed | {"payload": {"product": {"sku": "a"}}, "type": "order.placed"},
    ]
    person = replace(GROUP[0], events=events)
    asked = ("product.viewed", 3 * DAY, where)
    dialect = engine.dialect.name
    with engine.connect() as connection:
        store(connection, [person, person])
        statement = count_statement(identity(0), *asked, now=NOW, dialect=dialect)
        assert connection.scalar(statement) == count
    assert person.facts(identity(0)).count_events(*asked) == count


def test_what_is_not_for_sql_is_refused_by_the_compiler_too() -> None:
    with pytest.raises(ValueError, match="lower is not available where people are chosen"):
        compile_condition(read("contact.email | lower == 'a'"), now=NOW, dialect="sqlite")
