from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rendering.styles import Sheet
from orchestrator.rendering.templates import built_in
from orchestrator.rendering.theme import (
    TEXT_CONTRAST,
    TOKENS,
    contrast,
    direction,
    legible,
    tokens_for,
)

CSS = """
/* a comment with var(--start) */
p.words { margin: 0; color: var(--text) }
.button { background-color: var(--accent); padding-var(--start): 8px }
"""


def sheet(*, rtl: bool = False) -> Sheet:
    return Sheet(CSS, TOKENS, rtl=rtl)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("<p>Hi</p>", '<p class="words" style="margin:0;color:#22262b">Hi</p>'),
        (
            '<a class="button" href="{{ url }}">',
            '<a class="button" href="{{ url }}" style="background-color:#0b5a7a;padding-left:8px">',
        ),
        (
            '<p style="margin:4px">',
            '<p class="words" style="margin:0;color:#22262b;margin:4px">',
        ),
        ('<p class="own">', '<p class="own">'),
        ("{% if a < b and c > d %}", "{% if a < b and c > d %}"),
        ("<br>", "<br>"),
    ],
)
def test_classes_and_bare_tags_become_inline_styles(source: str, wanted: str) -> None:
    assert sheet().inlined(source) == wanted


def test_long_styles_begin_a_line_so_that_none_is_too_long_for_the_wire() -> None:
    written = sheet().inlined('<p style="' + "margin:4px;" * 10 + '">Hi</p>')
    assert written.startswith('<p class="words"\nstyle="margin:0;')


def test_start_is_right_where_a_language_runs_from_right_to_left() -> None:
    assert "padding-right:8px" in sheet(rtl=True).inlined('<i class="button">')


def test_dark_rules_come_three_times_and_win_over_inline_styles() -> None:
    dark = sheet().dark()
    assert ".words{color:#e9e7e2 !important}" in dark.splitlines()[0]
    assert "[data-ogsc] .words{color:#e9e7e2 !important}" in dark
    assert "[data-ogsb] .button{background-color:#86cbe6 !important}" in dark


def test_classes_of_one_dark_colour_share_a_line_and_its_twin() -> None:
    css = ".one { color: var(--text) } .two { margin: 0; color: var(--text) }"
    assert Sheet(css, TOKENS, rtl=False).dark().splitlines() == [
        "@media (prefers-color-scheme:dark){.one,.two{color:#e9e7e2 !important}}",
        "[data-ogsc] .one,[data-ogsc] .two{color:#e9e7e2 !important}",
    ]


def test_what_has_no_colour_needs_no_dark_rule() -> None:
    dark = Sheet(".one { margin: 0; color: #123456 }", TOKENS, rtl=False).dark()
    assert dark == "@media (prefers-color-scheme:dark){}"


def test_a_rule_that_cannot_be_inlined_is_refused() -> None:
    with pytest.raises(ValueError, match=r"div p\.a"):
        Sheet("div p.a { color: red }", TOKENS, rtl=False)


def test_every_colour_of_the_shipped_sheet_has_a_dark_counterpart() -> None:
    shipped = built_in()["email/mail.css"]
    assert not re.findall(r"#[0-9a-f]{3,6}\b", re.sub(r"/\*.*?\*/", "", shipped, flags=re.DOTALL))
    for name in re.findall(r"var\(--([a-z-]+)\)", shipped):
        assert name in TOKENS or name in {"start", "end"}


PAIRS = [
    *(("text", "surface"), ("text", "page"), ("muted", "surface"), ("muted", "page")),
    *(("accent", "surface"), ("accent", "tile"), ("on-accent", "accent"), ("on-note", "note")),
    *(("accent", "page"), ("accent", "note"), ("bad", "surface"), ("good", "surface")),
]
EDGE_CONTRAST = 3


@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_text_can_be_read_in_both_modes(front: str, back: str) -> None:
    assert contrast(TOKENS[front].light, TOKENS[back].light) >= TEXT_CONTRAST
    assert contrast(TOKENS[front].dark, TOKENS[back].dark) >= TEXT_CONTRAST


@pytest.mark.parametrize("back", ["page", "surface", "note"])
def test_edges_can_be_told_from_what_is_behind_them(back: str) -> None:
    assert contrast(TOKENS["edge"].light, TOKENS[back].light) >= EDGE_CONTRAST
    assert contrast(TOKENS["edge"].dark, TOKENS[back].dark) >= EDGE_CONTRAST


@given(st.integers(0, 0xFFFFFF))
def test_any_accent_of_a_brand_ends_up_legible(colour: int) -> None:
    tokens = tokens_for(f"#{colour:06x}")
    for front, back in PAIRS:
        assert contrast(tokens[front].light, tokens[back].light) >= TEXT_CONTRAST
        assert contrast(tokens[front].dark, tokens[back].dark) >= TEXT_CONTRAST


def test_a_legible_accent_is_left_alone() -> None:
    assert legible("#0b5a7a", "#ffffff") == "#0b5a7a"
    assert tokens_for("#7a0b0b")["accent"].light == "#7a0b0b"
    assert tokens_for(None) == TOKENS
    assert tokens_for("not a colour") == TOKENS


def test_contrast_agrees_with_the_known_extremes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(
    ("locale", "wanted"),
    [("en", "ltr"), ("fi-FI", "ltr"), ("fa", "rtl"), ("ar_EG", "rtl"), ("he-IL", "rtl")],
)
def test_direction_follows_the_language(locale: str, wanted: str) -> None:
    assert direction(locale) == wanted
