from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from orchestrator.domain.flows import FlowBook
from orchestrator.flowfile import load_file
from orchestrator.flowfile.report import render_finding
from orchestrator.rendering.checking import check_templates
from orchestrator.rendering.templates import load_folder

ROOT = Path(__file__).parents[2]


@cache
def book() -> FlowBook:
    loaded = load_file(ROOT / "flows.yaml")
    assert loaded.book is not None
    return loaded.book


def findings(**changed: str) -> list[str]:
    paths = {
        name.replace("_po", ".po")
        .replace("_css", ".css")
        .replace("__", "/", 2)
        .replace("__", "."): text
        for name, text in changed.items()
    }
    sources = {**load_folder(ROOT / "templates"), **paths}
    return [str(finding) for finding in check_templates(book(), sources, "templates")]


def test_the_shipped_templates_are_without_a_finding() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("path", "source", "place"),
    [
        (
            "email__cart__reminder__html",
            '{% extends "shell.html" %}\n{% block content %}{{ evnt.total }}{% endblock %}',
            'templates/email/cart/reminder.html:2:1: unknown name "evnt", did you mean "event"?',
        ),
        (
            "email__cart__reminder__fi__html",
            '{% extends "shell.html" %}\n{% block content %}\n{{ brand.nme }}{% endblock %}',
            'templates/email/cart/reminder.fi.html:3:1: unknown name "nme", did you mean "name"?',
        ),
        (
            "sms__cart__reminder__txt",
            "{% if event.total %}",
            "templates/sms/cart/reminder.txt:1:1: Unexpected end of template.",
        ),
        (
            "email__cart__reminder__html",
            '{% extends "shell.html" %}\n{% block preheder %}Kept for you.{% endblock %}',
            'templates/email/cart/reminder.html:2:1: unknown block "preheder", did you mean "preh',
        ),
        (
            "email__cart__reminder__html",
            '{% extends "shell.html" %}\n<!-- a remark -->\n\n<p>Nothing is lost.</p>',
            "templates/email/cart/reminder.html:4:1: what stands outside of the blocks is lost",
        ),
        (
            "email__cart__reminder__html",
            '\n{% extends "shel.html" %}',
            'templates/email/cart/reminder.html:2:1: unknown template "shel.html", did you',
        ),
        (
            "email__cart__reminder__html",
            '{% extends "shell.html" %}\n{% block content %}{{ event.total|mony }}{% endblock %}',
            'templates/email/cart/reminder.html:2:1: unknown filter "mony", did you mean "money"?',
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(path: str, source: str, place: str) -> None:
    (finding,) = findings(**{path: source})
    assert finding.startswith(place)


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ('button("Go", ulr=brand.url)', '"button" takes no "ulr"'),
        ('button("Go", brand.url, 3)', '"button" takes 2'),
        ('button("Go")', 'without its "url"'),
    ],
)
def test_a_component_that_is_miscalled_says_what_it_takes(call: str, wrong: str) -> None:
    page = f"""{{% extends "shell.html" %}}{{% block subject %}}Your basket{{% endblock %}}
{{% block content %}}{{{{ {call} }}}}{{% endblock %}}"""
    (finding,) = findings(email__cart__nudge__html=page)
    assert finding.startswith("templates/email/cart/nudge.html:2:1: ")
    assert wrong in finding
    assert finding.endswith("names and components there are")


def test_a_layout_of_ones_own_may_have_blocks_of_its_own() -> None:
    base = """{% extends "shell.html" %}
{% block content %}{% block letter %}{% endblock %}{{ button("Go", brand.url) }}{% endblock %}"""
    page = """{% extends "letter.html" %}{% set place = "Helsinki" %}
{% block subject %}Your basket is still here{% endblock %}
{% block preheader %}We have kept it for you. Take it up whenever it suits you.{% endblock %}
{% block letter %}<h1>Your basket</h1><p>It is in {{ place }}. {{ _("Hello,") }}</p>{% endblock %}
"""
    told = findings(email__letter__html=base, email__cart__nudge__html=page)
    assert not [finding for finding in told if "unknown block" in finding or "lost" in finding]


@pytest.mark.parametrize(
    "broken", ["msgstr Summe", 'msgstr "Summe', 'msgstr Summe"', "Summe", 'msgtsr "Summe"']
)
def test_a_catalogue_that_cannot_be_read_is_a_finding_with_its_line(broken: str) -> None:
    told = findings(locales__de_po=f'msgid "Total"\n{broken}\n')
    assert told[0].startswith("templates/locales/de.po:2:1: ")
    assert "is no line of a catalogue" in told[0]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("sheet", "wrong"),
    [
        ("a.link { color: var(--acent) }", "there is no var(--acent); there are accent"),
        ("a.link { color: red\nul.list { color: red }", "a mail style is `.name` or `tag.name`"),
    ],
)
def test_a_style_sheet_that_cannot_be_used_is_a_finding(sheet: str, wrong: str) -> None:
    told = findings(email__mail_css=sheet)
    assert any(one.startswith("templates/email/mail.css") and wrong in one for one in told)


def test_a_file_that_no_step_names_is_not_looked_at() -> None:
    assert findings(email__cart__other__html="{% if %}") == []


def test_the_outputs_of_the_flows_own_steps_are_known() -> None:
    page = """{% extends "shell.html" %}{% block subject %}A gift for you{% endblock %}
{% block preheader %}Your next order comes to you free of charge.{% endblock %}
{% block content %}{{ heading("A gift") }}<p>{{ gift.code }}</p>{% endblock %}"""
    (said,) = findings(email__winback__gift__html=page)
    assert "it is not in fa, fi, pl, ru" in said
    assert findings(email__cart__nudge__html=page)[0].endswith("components there are")


def test_a_place_in_a_template_is_not_shown_as_a_line_of_the_flows_file() -> None:
    source = load_file(ROOT / "flows.yaml").source
    sources = {**load_folder(ROOT / "templates"), "sms/cart/reminder.txt": "{{ evnt }}"}
    (finding,) = check_templates(book(), sources, "templates")
    shown = render_finding(finding, source)
    assert shown.splitlines()[0] == str(finding).partition(";")[0]
    assert "^" not in shown
