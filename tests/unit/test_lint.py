"""How the rules speak: where, what is wrong, what to write instead; and what they let pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.errors import LintFailed
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.rendering.checking import check_templates
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenSigner
from orchestrator.rendering.lint import matrix
from orchestrator.rendering.lint.colours import colour, inverted, paint
from orchestrator.rendering.lint.css import declarations, pixels, sheet, sides
from orchestrator.rendering.lint.fixtures import KINDS, NOW, Sent, request
from orchestrator.rendering.lint.page import Page
from orchestrator.rendering.lint.places import MARK, Places, unmarked
from orchestrator.rendering.lint.sending import addressed_by_facts
from orchestrator.rendering.message import MessageRenderer
from orchestrator.rendering.templates import built_in
from tests.unit.lint_shop import book, findings, page, said, sent, sources

FILE = "all/own.html"
OWN = f"templates/email/{FILE}"
SUBJECT = "News from the shop"
WORDS = "<p>Words enough, so that this is a message and not a picture of one alone.</p>\n"


def told(content: str, message_class: MessageClass = MessageClass.MARKETING) -> list[str]:
    return said(page(content), sent("all/own", message_class))


# A marketer's own HTML ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (
            f'{WORDS}<p>See <img src="https://northwind.example/map.png" width="96"></p>',
            (
                f"error A9 {OWN}:6:8: a picture without alt: whoever does not see it hears its file"
                ' name; write alt="what it shows", or alt="" if the words beside it say it already'
            ),
        ),
        (
            '<p>Our shelves: <a href="https://northwind.example/">click here</a></p>',
            (
                f'warning A11 {OWN}:5:17: the link "click here" does not say where it leads;'
                ' name what is there: "Your basket", "The new arrivals"'
            ),
        ),
        (
            '<p style="color:#9a9a9a">Pale words.</p>',
            (
                f'error A13 {OWN}:5:1: "Pale words." is hard to read in light mode: #9a9a9a on'
                " #fffdfa is 2.8:1; 4.5:1 is needed; take a darker or a lighter colour, or none"
            ),
        ),
        (
            "<table><tr><td>A shelf</td></tr></table>",
            (
                f"error A8 {OWN}:5:1: a table for layout is read out as a table of facts; write"
                ' role="presentation" in it; a table of facts has <th scope="col">'
            ),
        ),
        (
            '<p><img src="https://northwind.example/a.png" alt="All our offers in a picture"></p>',
            (
                f"error A19 {OWN}:5:4: nearly everything it says is in pictures, which many never"
                " see; write the words as words, and use pictures beside them"
            ),
        ),
        (
            f'<div style="width:800px">{WORDS}</div>',
            (
                f"warning A23 {OWN}:5:1: <div> is 800 px wide: on a telephone one has to push it"
                " about; write width:100%;max-width:600px"
            ),
        ),
        (
            '<div style="background-color:#f0e0c0"><p>On paper.</p></div>',
            (
                f"error B5 {OWN}:5:1: <div> is painted #f0e0c0 in dark mode too; use note(...) or a"
                " class of mail.css instead of a colour in place"
            ),
        ),
        (
            '<p><a href="http://northwind.example/">The new arrivals</a></p>',
            (
                f'error C4 {OWN}:5:4: href="http://northwind.example/" is no address that a'
                " mail may have; write one that begins with https://, mailto: or tel:"
            ),
        ),
    ],
)
def test_a_finding_says_where_what_is_wrong_and_what_to_write(content: str, finding: str) -> None:
    assert finding in told(content)


def test_plain_html_without_a_fault_passes() -> None:
    assert (
        told(
            "<h1>New books</h1><p>Two of them, and <strong>what we think</strong>.</p>"
            '<ul><li>One<li>Another, with <a href="{{ brand.url }}">a page of its own</a></ul>'
            f"<p>An open paragraph{WORDS}"
        )
        == []
    )


def test_what_a_component_was_given_is_found_in_the_template() -> None:
    (finding,) = told('{{ heading("News") }}\n<p>x</p>\n\n{{ button("Read more", brand.url) }}')
    assert finding.startswith(f'warning A11 {OWN}:8:11: the link "Read more"')


def test_a_fault_that_some_facts_alone_show_names_them() -> None:
    (finding,) = told("<p>{% if event.items|length == 3 %}<blink>Three!</blink>{% endif %}</p>")
    assert finding.startswith(f"error A21 {OWN}:5:36: mail clients drop <blink> (with three items)")


def test_what_cannot_be_made_of_usual_facts_is_an_error() -> None:
    (finding,) = told('{{ button("Your parcel", contact.country) }}')
    assert finding.startswith(f"error template {OWN}:5:1: no message comes of it: FI is no https")


def test_what_cannot_be_made_without_a_fact_is_a_warning() -> None:
    (finding,) = told('<p>x</p>{{ button("Your parcel", event.tracking.url) }}')
    assert finding.startswith(f"warning template {OWN}:5:1: no message comes of it: None is no")
    assert "(with nothing but an address)" in finding
    assert told('<p>x</p>{{ button("Your parcel", event.tracking.url or brand.url) }}') == []


def test_what_only_the_shop_knows_is_made_up_by_its_name() -> None:
    content = '<p>{{ event.data.points + 1 }}</p>{{ button("Your card", event.data.card_url) }}'
    assert {line.split()[0] for line in told(content)} == {"warning"}


def test_a_word_that_looks_left_over_may_be_meant() -> None:
    assert told("<p>None of our books is undefined.</p>") == []


def test_the_class_of_the_step_decides() -> None:
    content = '<p>For you:</p>{{ coupon("TEA", "10 percent off") }}'
    assert told(content) == []
    assert [line.split()[:2] for line in told(content, MessageClass.SERVICE)] == [["error", "E2"]]


def test_a_locale_that_a_template_lacks_is_not_looked_at() -> None:
    assert findings(sources(), sent("all/gallery", locale="xx")) == []


def test_a_missing_privacy_policy_is_a_warning() -> None:
    shop = replace(book(), brand=replace(book().brand, privacy=None))
    rules = {(f.rule, f.severity) for f in findings(sources(), sent("all/cart"), shop)}
    assert rules == {("E8", Severity.WARNING)}


# What is remembered -------------------------------------------------------------------------


def test_unchanged_templates_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = check_templates(book(), sources(), "templates")

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(matrix.Matrix, "_found", never)
    assert check_templates(book(), sources(), "templates") == first


def test_an_edit_is_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    check_templates(book(), sources(), "templates")
    looked_at: list[str] = []
    found = matrix.Matrix._found

    def looking(self: matrix.Matrix, one: Sent) -> Iterator[Finding]:
        looked_at.append(one.step.template)
        return found(self, one)

    monkeypatch.setattr(matrix.Matrix, "_found", looking)
    path = "email/winback/goodbye.html"
    edited = {**sources(), path: sources()[path].replace("Either way", "Anyhow")}
    assert edited != sources()
    check_templates(book(), edited, "templates")
    assert set(looked_at) == {"winback/goodbye"}


# Pages, styles, places ----------------------------------------------------------------------


def test_what_html_leaves_open_is_closed() -> None:
    found = Page("<body><ul><li>a<li>b</ul><p>c<p>d<table><tr><td>e<td>f<tr><td>g</table></b>h")
    assert [one.text for one in found.all("li", "p", "td")] == [*"abcdefg"]
    assert [one.tag for one in found.body.children if not isinstance(one, str)] == [
        *("ul", "p", "p", "table"),
    ]


def test_only_what_outlook_alone_reads_is_taken_from_comments() -> None:
    found = Page("<!--[if mso]><table><![endif]--><!--[if !mso]><!--><p>x</p><!--<![endif]-->")
    assert [one.tag for one in found.elements] == ["p"]
    assert [one.tag for page in found.for_outlook for one in page.elements] == ["table"]


def test_a_sheet_is_read_as_browsers_do() -> None:
    text = "/* x */ a, b.c > d { color: red !important } @media (x) { e { f: 'g;}' } } @import 'h';"
    found = sheet(text)
    assert [(one.selector, one.media) for one in found.rules] == [
        *[("a", ()), ("b.c > d", ()), ("e", ("@media (x)",))],
    ]
    assert found.rules[0].declarations[0] == ("color", "red", True)
    assert found.rules[2].declarations == (("f", "'g;}'", False),)
    assert found.others == ("@import 'h'",)
    assert declarations("background:url(data:a;b);x:y") == (
        *[("background", "url(data:a;b)", False), ("x", "y", False)],
    )


def test_colours_are_read_in_every_way_people_write_them() -> None:
    assert colour("#FC0") == ("#ffcc00", 1)
    assert colour("rgb(255, 204, 0)") == ("#ffcc00", 1)
    assert colour("rgba(255 204 0 / 50%)") == ("#ffcc00", 0.5)
    assert colour("Gold") == ("#ffd700", 1)
    assert colour("var(--x)") is None
    assert paint("none") is None
    assert paint("#fff url(a.png) no-repeat") == ("#ffffff", True, True)
    assert (inverted("#000000"), inverted("#ffffff")) == ("#ffffff", "#000000")


def test_lengths_are_pixels() -> None:
    assert [pixels(one) for one in ("12px", "9pt", "2em", "50%", "auto")] == [12, 12, 32, 8, None]
    assert sides("1px 2px 3px") == (1, 2, 3, 2)


def test_marks_tell_the_place_and_vanish() -> None:
    source = 'a\n <p class="b">{{ "<i>" }}<br/>{# <u> #}</p>'
    marked = Places({"email/x/y.html": source}, {}).marked["email/x/y.html"]
    assert (
        f'\n <p {MARK}="0:2:2" class="b">{{{{ "<i>" }}}}<br {MARK}="0:2:26"/>{{# <u> #}}' in marked
    )
    assert unmarked(marked) == source


def test_marks_change_nothing_else() -> None:
    plain = MessageRenderer(book(), sources(), links())
    marked = MessageRenderer(book(), Places(sources(), built_in()).marked, links())
    for kind in KINDS:
        asked = request(book(), sent("all/gallery"), kind, "")
        assert plain.render(asked).body == marked.drafted(asked, unmarked).wire


# When a message is sent ---------------------------------------------------------------------


class StillClock:
    def now(self) -> Any:
        return NOW


def links() -> Links:
    tokens = SignedLinkTokens(TokenSigner(["a secret"]), StillClock())
    return Links("https://links.example", tokens)


def sending(content: str, kind: str = "typical", **event: Any) -> bytes:
    renderer = MessageRenderer(book(), page(content), links())
    asked = request(book(), sent("all/own"), kind, "")
    facts = {**asked.facts, "event": {**asked.facts["event"], **event}}
    return renderer.render(replace(asked, facts=facts)).body


@pytest.mark.parametrize(
    ("rule", "content", "event"),
    [
        (
            "C1",
            "<p>{% for i in range(1000) %}{{ event.text }}{% endfor %}</p>",
            {"text": "x" * 101},
        ),
        ("C4", '<p><a href="{{ event.text }}">Your parcel</a></p>', {"text": "javascript:x"}),
        ("C5", "<p>Hello {% raw %}{{ first_name }}{% endraw %}</p>", {}),
        ("C6", "{% endblock %}{% block unused %}", {}),
    ],
)
def test_a_message_that_facts_have_broken_is_not_sent(
    rule: str, content: str, event: dict[str, Any]
) -> None:
    shop = page(content)
    if rule == "C6":
        shop[f"email/{FILE}"] = shop[f"email/{FILE}"].replace(SUBJECT, "Re: {{ event.text }}")
    renderer = MessageRenderer(book(), shop, links())
    asked = request(book(), sent("all/own"), "typical", "")
    facts = {**asked.facts, "event": {**asked.facts["event"], **event}}
    with pytest.raises(LintFailed) as failed:
        renderer.render(replace(asked, facts=facts))
    assert failed.value.rule == rule


def test_what_somebody_is_called_never_keeps_a_message_back() -> None:
    content = "<p>Hello {{ contact.first_name }}, {{ event.items[0].name }}</p>"
    assert b"{{ brand }}" in sending(content, "hostile").replace(b"=\r\n", b"")
    shop = page(content)
    shop[f"email/{FILE}"] = shop[f"email/{FILE}"].replace(SUBJECT, "{{ event.text }}, hello")
    subject = MessageRenderer(book(), shop, links())
    asked = request(book(), sent("all/own"), "typical", "")
    facts = {**asked.facts, "event": {**asked.facts["event"], "text": "AND THEN THERE WERE NONE"}}
    assert subject.render(replace(asked, facts=facts)).details["subject"].startswith("AND THEN")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("F3", "{{ brand.name }}: {{ event.text }}"),
        ("F7", "{{ event.text|truncate(50) }}, {{ brand.name }}"),
    ],
)
def test_a_text_that_facts_have_broken_is_not_sent(rule: str, text: str) -> None:
    renderer = MessageRenderer(book(), {**sources(), "sms/all/own.txt": text}, links())
    asked = request(book(), sent("all/own", channel=Channel.SMS), "typical", "")
    facts = {**asked.facts, "event": {**asked.facts["event"], "text": "tea " * 500}}
    with pytest.raises(LintFailed) as failed:
        renderer.render(replace(asked, facts=facts))
    assert failed.value.rule == rule


def test_only_facts_in_addresses_are_looked_at_when_sending() -> None:
    def ways(content: str) -> tuple[str, ...]:
        return addressed_by_facts({"email/a/b.html": content}, {})

    assert ways('<a href="{{ links.view }}"><a href="https://x.example">') == ()
    assert ways('<a href="{{ event.checkout_url }}">') == ('href="',)
    assert ways('<img src="https://x.example/{% if a %}b{% endif %}">') == ('src="',)
