"""Every shipped mail and component under html-validate, as most clients and as Outlook read it."""

from __future__ import annotations

import re
from itertools import product

import pytest

from orchestrator.domain.flows import MessageClass
from orchestrator.rendering.lint.fixtures import KINDS
from tests.browser.looking import HERE, NOT_FOR_MAIL, validate
from tests.opinions.shipped import shipped
from tests.opinions.spamassassin import MISTAKEN
from tests.unit.test_rendering_components import sample

NOT_OUTLOOK = re.compile(r"<!--\[if !mso\]><!-->.*?<!--<!\[endif\]-->", re.DOTALL)
OUTLOOK = re.compile(r"<!--\[if mso\]>(.*?)<!\[endif\]-->", re.DOTALL)


def as_outlook(html: str) -> str:
    """The page that Outlook makes of conditional comments."""
    return OUTLOOK.sub(r"\1", NOT_OUTLOOK.sub("", html))


def read_both_ways(pages: dict[str, str]) -> dict[str, str]:
    return pages | {f"{name}, in Outlook": as_outlook(html) for name, html in pages.items()}


def test_a_sample_of_the_mails_is_valid() -> None:
    pages = {one.place: one.html for one in shipped() if one.locale in {"en", "fa"}}
    assert len(pages) == 2 * len({one.name for one in shipped()})
    assert validate(read_both_ways(pages)) == []


def test_every_component_is_valid() -> None:
    looks = product(("nothing", "twelve items"), ("en", "fa"))
    gallery = {
        f"gallery, {facts}, {locale}": sample(
            "all/gallery", MessageClass.MARKETING, facts, locale
        ).mail.html
        for facts, locale in looks
    }
    assert validate(read_both_ways(gallery)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_is_valid_in_every_language_for_everybody(kind: str) -> None:
    pages = {one.place: one.html for one in shipped(kind)}
    assert len(pages) == 60
    assert validate(read_both_ways(pages)) == []


WRONG = (
    ("</h1>", "</h2>", "close-order"),
    ('<td align="center">', '<td bgcolor="#ffffff" align="center">', "no-deprecated-attr"),
    ('<p class="', '<p class="small" class="', "no-dup-attr"),
    ('role="article"', 'role="list"', "prefer-native-element"),
    ("</body>", '<img src="https://northwind.example/a.png"></body>', "wcag/h37"),
    ("<h1", "<center>sale</center><h1", "deprecated"),
)
"""What stands in a mail, what may not stand there, and the rule that says so."""


def test_it_notices_what_is_wrong() -> None:
    html = next(shipped()).html
    assert all(right in html for right, _, _ in WRONG)
    said = validate({rule: html.replace(right, wrong, 1) for right, wrong, rule in WRONG})
    for _, _, rule in WRONG:
        assert any(one.startswith(f"{rule}:") and f" {rule}: " in one for one in said), said


def test_what_only_outlook_reads_is_looked_at() -> None:
    html = next(shipped()).html
    broken = html.replace("<!--[if mso]></td></tr></table>", "<!--[if mso]></td></table>", 1)
    assert broken != html
    assert validate({"mail": broken}) == []
    assert validate({"mail": as_outlook(broken)}) != []


def test_every_exception_has_its_reason_in_the_docs() -> None:
    profile = (HERE / "mail-profile.mjs").read_text()
    switched = re.findall(r'^ {4}"([a-z/0-9-]+)": ', profile, re.MULTILINE)
    assert len(switched) == 5
    mistaken = [rule for rules in MISTAKEN.values() for rule in rules]
    page = (HERE.parents[1] / "docs" / "second-opinions.md").read_text()
    told = set(re.findall(r"^\| [a-zA-Z-]+ \| `([^`]+)` \|", page, re.MULTILINE))
    assert told == {*switched, "no-deprecated-attr", "color-contrast", *NOT_FOR_MAIL, *mistaken}
