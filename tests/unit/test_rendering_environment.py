from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import nodes

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.expressions.shapes import Kind, Record
from orchestrator.domain.expressions.vocabulary import EVENT
from orchestrator.rendering.environment import MessageEnvironment
from orchestrator.rendering.limits import MAX_OUTPUT
from orchestrator.rendering.names import BRAND, number, shaped

FACTS = {
    "event": {
        "items": [{"name": "Tea & <b>honey</b>", "quantity": 2, "price": "4.50"}],
        "data": {"shelf": {"row": 3}, "items": "a field, not a method"},
    }
}


def render(source: str, event: Mapping[str, Any] | None = None, *, escaping: bool = True) -> str:
    environment = MessageEnvironment(
        {"page.html": source, "other.html": "other {{ event.total }}"},
        escaping=escaping,
        baked={"theme": {"accent": "#0b5a7a"}},
    )
    facts = {"event": shaped(event or FACTS["event"], EVENT)}
    return environment.rendered(environment.compiled("page.html"), facts)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("{{ event.items[0].name }}", "Tea &amp; &lt;b&gt;honey&lt;/b&gt;"),
        ("{{ event.items[0].price * event.items[0].quantity }}", "9.00"),
        ("{{ event.data.items }}", "a field, not a method"),
        ("{{ event['data']['shelf']['row'] }}", "3"),
        ("{% for item in event.items %}{{ loop.index }}/{{ loop.length }}{% endfor %}", "1/1"),
        ("{{ event.items|map(attribute='quantity')|join('+') }}", "2"),
        ("{{ theme.accent }}", "#0b5a7a"),
        ("{{ 'tea'.upper() ~ '!' }}", "TEA!"),
        ("{{ _('Hello') }}", "Hello"),
        ("{{ 2.345|round(1) }}", "2.3"),
        ("{{ 'a-b'|replace('-', '+') }}", "a+b"),
    ],
)
def test_templates_say_what_the_facts_hold(source: str, wanted: str) -> None:
    assert render(source) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "event.order_id",
        "event.total",
        "event.product",
        "event.product.anything",
        "event.tracking.url",
        "event.contact.first_name",
        "event.data.missing",
        "event.data.missing.deeper",
    ],
)
def test_known_but_absent_is_none_and_prints_nothing(path: str) -> None:
    assert render(f"{{% if {path} is none %}}none{{% endif %}}[{{{{ {path} }}}}]") == "none[]"


def test_a_loop_over_what_was_not_given_does_nothing() -> None:
    event = {"type": "checkout.started"}
    assert render("{% for item in event.items %}x{% else %}empty{% endfor %}", event) == "empty"
    assert render("{% for item in event.data.list %}x{% endfor %}", event) == ""


def test_escaping_is_off_where_it_is_not_asked_for() -> None:
    assert render("{{ event.items[0].name }}", escaping=False) == "Tea & <b>honey</b>"


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("{{ evnt.total }}", 1, "'evnt' is undefined"),
        ("\n{{ event.totl }}", 2, 'unknown name "totl", did you mean "total"?'),
        ("{{ event.items[0].prise }}", 1, 'did you mean "price"?'),
        ("a\nb\n{% if %}", 3, "Expected an expression"),
        ("{% include 'nowhere.html' %}", 1, 'unknown template "nowhere.html"'),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{{ 'text' - 1 }}", 1, "unsupported operand"),
        ("{{ event.total|safe }}", 1, 'unknown filter "safe"'),
    ],
)
def test_a_mistake_names_template_line_and_cause(source: str, line: int, message: str) -> None:
    with pytest.raises(RenderFailed) as failure:
        render(source)
    assert (failure.value.template, failure.value.line) == ("page.html", line)
    assert message in failure.value.message


COMPONENTS = """
{% macro shout(words, mark="!") %}<b>{{ words }}{{ mark }}</b>{% endmacro %}
{% macro rule() %}<hr>{% endmacro %}
{% macro rows(items) %}{% for item in items %}<i>{{ item.name }}</i>{% endfor %}{% endmacro %}
{% macro box(words) %}[{{ caller() if caller is defined else words }}]{% endmacro %}
{% macro link(url) %}{{ url|strict }}{% endmacro %}
{% macro row(a, b="B", c="C") %}{{ a }}{{ b }}{{ c }}{% endmacro %}
{% macro any(first) %}{{ first }}{{ varargs|length }}{{ kwargs|length }}{% endmacro %}
"""


def strict(url: object) -> str:
    if not str(url).startswith("https:"):
        raise ValueError(f"{url} is no address")
    return str(url)


def with_components(source: str) -> tuple[MessageEnvironment, str]:
    environment = MessageEnvironment(
        {"components.html": COMPONENTS, "page.html": source},
        escaping=True,
        names={"brand": shaped({"name": "A & B"}, BRAND), "locale": "fi"},
        filters={"strict": strict},
        baked={"theme": {"accent": "#0b5a7a"}},
    )
    environment.use("components.html")
    facts = {"event": shaped(FACTS["event"], EVENT), "brand": "shadowed", "shout": "a step's name"}
    return environment, environment.rendered(environment.compiled("page.html"), facts)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("{{ shout('a < b') }}", "<b>a &lt; b!</b>"),
        (
            "{{ shout(event.items[0].name, mark='?') }}",
            "<b>Tea &amp; &lt;b&gt;honey&lt;/b&gt;?</b>",
        ),
        ("{{ rule() }}{{ shout(words='x') }}", "<hr><b>x!</b>"),
        ("{{ rows(event.items) }}{{ rows([{'name': '<'}]) }}", None),
        ("{% call box() %}{{ shout('in') }}{% endcall %}{{ box('out') }}", "[<b>in!</b>][out]"),
        ("{{ box(event.items[0].quantity) }}", "[2]"),
        ("{{ row(event.items[0].quantity, c='x') }}{{ row(c=1, a=event.total) }}", "2BxB1"),
        ("{{ any(event.items[0].quantity) }}{{ any(event.items[0].quantity, 1, x=2) }}", "200211"),
        ("{{ '<' ~ shout(event.items[0].quantity) ~ 1 }}", "&lt;<b>2!</b>1"),
        ("{% for shout in [1, 2] %}{{ shout }}{% endfor %}", "12"),
        ("{% macro shout(words) %}own {{ words }}{% endmacro %}{{ shout('x') }}", "own x"),
        ("{{ brand.name }} {{ locale }} {{ theme.accent }}", "A &amp; B fi #0b5a7a"),
        ("{% set brand = {'name': 'mine'} %}{{ brand.name }}", "mine"),
        ("{{ brand.logo.dark }}[{{ none }}]", "[]"),
        ("{{ _('50 %% off %(what)s', what='<tea>') }}", "50 % off &lt;tea&gt;"),
        ("{{ {'name': 'x', 'items': 'y'}.items }}", "y"),
    ],
)
def test_what_is_settled_beforehand_reads_as_if_it_were_not(
    source: str, wanted: str | None
) -> None:
    _, text = with_components(source)
    assert text == (wanted or "<i>Tea &amp; &lt;b&gt;honey&lt;/b&gt;</i><i>&lt;</i>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("event.total, 1, 2, 3", '"row" takes 3'),
        ("event.total, marks=1", '"row" takes no "marks"'),
        ("b=event.total", 'without its "a"'),
    ],
)
def test_a_component_called_wrongly_is_told_with_the_line(arguments: str, message: str) -> None:
    with pytest.raises(RenderFailed, match=message) as failure:
        with_components("\n{{ row(" + arguments + ") }}")
    assert (failure.value.template, failure.value.line) == ("page.html", 2)


def test_a_component_that_fails_is_told_with_the_line_that_calls_it() -> None:
    for argument in ("'javascript:1'", "event.items[0].name"):
        with pytest.raises(RenderFailed, match="is no address") as failure:
            with_components("\n\n{{ link(" + argument + ") }}")
        assert (failure.value.template, failure.value.line) == ("page.html", 3)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(1000) %}{{ rows(" + "+".join(["event.items"] * 30) + ") }}{% endfor %}",
        "{% for a in range(500) %}" + "{{ shout(a) }}" * 40 + "{% endfor %}",
    ],
)
def test_components_draw_on_the_allowance_of_the_template_that_calls_them(source: str) -> None:
    with pytest.raises(RenderFailed, match="too much"):
        with_components(source)


def test_constants_leave_nothing_to_do_for_a_message() -> None:
    source = "{{ shout('a') }}{{ _('Total') }}{{ brand.name }}{{ rule() }}"
    environment, _ = with_components(source)
    (output,) = environment.parse(source).body
    assert isinstance(output, nodes.Output)
    assert all(isinstance(one, nodes.Const | nodes.TemplateData) for one in output.nodes)


GROWING = (
    "{{% set n = namespace(t={first}) %}}"
    "{{% for i in range(40) %}}{{% set n.t = {more} %}}{{% endfor %}}{{{{ n.t }}}}"
)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% endfor %}",
        "{% macro again() %}{{ again() }}{{ again() }}{% endmacro %}{{ again() }}",
        "{% include 'page.html' %}{% include 'page.html' %}",
        "{% extends 'page.html' %}",
        "{% set n = namespace(t='x' * 9) %}",
        GROWING.format(first="'xxxxxxxx'", more="n.t ~ n.t"),
        GROWING.format(first="'xxxxxxxx'", more="n.t + n.t"),
        GROWING.format(first="[1]", more="n.t + n.t"),
        GROWING.format(first="9", more="n.t * n.t"),
        GROWING.format(first="'aa'", more="n.t|replace('a', 'aa')"),
        "{{ 9 ** 99999999 }}",
        "{{ 'x' * 999999999 }}",
        "{{ [0] * 999999999 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '%0999999999d'|format(1) }}",
        "{{ 'x'.ljust(999999999) }}",
        "{{ 'x'|center(999999999) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 1|round(999999999) }}",
    ],
)
def test_what_could_run_away_is_stopped(source: str) -> None:
    with pytest.raises(RenderFailed):
        render(source)


def test_output_has_a_limit() -> None:
    event = {"data": {"text": "x" * 10_000}}
    source = "{% for i in range(ROUNDS) %}{{ event.data.text }}{% endfor %}"
    assert len(render(source.replace("ROUNDS", "99"), event)) == 990_000
    with pytest.raises(RenderFailed, match=f"{MAX_OUTPUT:,}"):
        render(source.replace("ROUNDS", "101"), event)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ event.__class__ }}",
        "{{ event.items.__class__ }}",
        "{{ event.update({'a': 1}) }}",
        "{{ self.__init__ }}",
        "{{ (1).to_bytes(9, 'big') }}",
        "{{ range.__call__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ _.__globals__ }}",
        "{{ event.data|attr('clear') }}",
    ],
)
def test_templates_do_not_reach_into_python(source: str) -> None:
    with pytest.raises(RenderFailed):
        render(source)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{{ evnt.total }}", ['1: unknown name "evnt", did you mean "event"?']),
        ("\n{{ event.totl }}", ['2: unknown name "totl", did you mean "total"?']),
        ("{{ event['totl'] }}", ['1: unknown name "totl", did you mean "total"?']),
        (
            "{{ event.contact.frist_name }}",
            ['1: unknown name "frist_name", did you mean "first_name"?'],
        ),
        ("{{ event.items[0].prise }}", ['1: unknown name "prise", did you mean "price"?']),
        (
            "{% for one in event.items %}\n{{ one.price }}{{ one.prise }}{% endfor %}",
            ['2: unknown name "prise", did you mean "price"?'],
        ),
        ("{{ event.data.anything.goes }}{{ event.total }}{{ _('x') }}", []),
        ("{{ event.type.upper() }}{{ gift.code }}", []),
        ("{% set event = 1 %}{{ event.whatever }}", []),
        ("{% macro shown(event) %}{{ event.whatever }}{% endmacro %}", []),
    ],
)
def test_unknown_names_are_found_without_rendering(source: str, found: list[str]) -> None:
    page = "{% if false %}" + source + "{% endif %}"
    environment = MessageEnvironment({"page.html": page}, escaping=True)
    failures = environment.unknown_names("page.html", ["gift"], {"event": EVENT})
    assert [f"{failure.line}: {failure.message}" for failure in failures] == found


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("12.90", Decimal("12.90")),
        (3, Decimal(3)),
        (1.5, Decimal("1.5")),
        ("0", Decimal(0)),
        (None, None),
        (True, None),
        ("twelve", None),
        ("NaN", None),
        ("1e999999", None),
        ("1e-999999", None),
    ],
)
def test_numbers_are_decimals_of_ordinary_size(value: object, wanted: Decimal | None) -> None:
    assert number(value) == wanted


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*EVENT.fields, "strange"]), json))
def test_every_known_field_exists_whatever_an_event_brings(event: dict[str, Any]) -> None:
    facts = shaped(event, EVENT)
    assert set(facts) == set(EVENT.fields)
    for item in facts["items"]:
        assert item["price"] is None or item["price"].is_finite()


def test_texts_hold_no_control_characters_but_tabs_and_line_ends() -> None:
    noisy = {"text": "a\x00\x1eb\tc\nd\u2028", "data": {"k\x1c": ["\x7fx"]}}
    facts = shaped(noisy, EVENT)
    assert facts["text"] == "ab\tc\nd"
    assert facts["data"] == {"k": ("x",)}


def test_an_open_group_keeps_what_it_was_given() -> None:
    output = shaped({"code": "TEA"}, Record("a step's output", rest=Kind.ANYTHING))
    assert output == {"code": "TEA"}
