from __future__ import annotations

from html import escape
from itertools import pairwise, zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rendering.plain import WIDTH, flowed, settled, to_line, to_text, verbatim


@pytest.mark.parametrize(
    ("markup", "wanted"),
    [
        ("<h1>One</h1><p>Two\n  three</p>", "One\n\nTwo three\n"),
        ("<ul>\n<li>a</li>\n<li>b</li>\n</ul>", "- a\n- b\n"),
        ("<div>a</div>\n<div>b</div>", "a\nb\n"),
        ("a<br>b", "a\nb\n"),
        (
            '<p>See <a href="https://x.example/?a=1&amp;b=2">the shop</a>.</p>',
            "See the shop <https://x.example/?a=1&b=2>.\n",
        ),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example\n"),
        ('<a href="mailto:help@x.example">help@x.example</a>', "help@x.example\n"),
        (
            '<a href="https://x.example"><img alt="Our shop" src="x.png"></a>',
            "Our shop <https://x.example>\n",
        ),
        ("<p>5 &lt; 6 &amp; 7</p>", "5 < 6 & 7\n"),
        ("<style>p { color: red }</style><p>a</p><!-- no -->", "a\n"),
        ("<tr><td>a</td><td>b</td></tr>", "a b\n"),
        ("", "\n"),
    ],
)
def test_simple_html_becomes_lines(markup: str, wanted: str) -> None:
    assert to_text(markup) == wanted


def test_lines_are_wrapped_but_addresses_are_not() -> None:
    url = "https://northwind.example/" + "x" * 120
    text = to_text(f"<p>{'word ' * 40}{url} {'word ' * 40}</p>")
    assert url in text
    assert all(len(line) <= WIDTH or line == url for line in text.splitlines())


def test_a_long_entry_hangs_under_its_dash() -> None:
    lines = to_text(f"<ul><li>{'word ' * 40}</li></ul>").splitlines()
    assert lines[0].startswith("- word")
    assert all(line.startswith("  word") for line in lines[1:])


def test_a_subject_is_one_clean_line() -> None:
    assert to_line("\n  Hello&nbsp;<b>Ada</b>\r\nBcc: x\x00\n") == "Hello Ada Bcc: x"


def test_a_text_written_by_hand_keeps_its_lines() -> None:
    assert verbatim("Hello\n\n  two\n\n\n\nthree &amp; four  \n") == (
        "Hello\n\n  two\n\nthree & four\n"
    )


words = st.text(
    st.characters(
        exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"
    )
)


@given(words, words)
def test_data_never_makes_a_line_or_a_tag_of_its_own(name: str, title: str) -> None:
    text = to_text(f"<p>{escape(name)}</p><ul><li>{escape(title)}</li></ul>")
    assert text.split() == [*name.split(), "-", *title.split()]


@given(st.text(st.characters(categories=["Cc", "Zl", "Zp"])))
def test_control_characters_in_data_vanish(noise: str) -> None:
    text = to_text(f"<p>a{escape(noise)}b</p>")
    assert text in {"ab\n", "a b\n"}


@pytest.mark.parametrize(
    "pieces",
    [
        ["<h1>", "</h1>\n<p>two <b>", "</b></p>"],
        ['<p><a href="', '">', "</a></p>"],
        ['<p class="x', '">a<br>', "</p><ul>\n<li>", "</li></ul>"],
        ["<td>a</td><td>", "</td>", '<img alt="', '"><hr>'],
        ["<!-- ", "<p> --><p>5 < 6 ", "</p>"],
        ["<style>p {", "} <b></style><p>", "</p>"],
        [],
        [""],
    ],
)
def test_tags_settled_beforehand_read_as_tags_settled_in_the_message(pieces: list[str]) -> None:
    facts = ["a fact", "&lt;another&gt;", "3"]
    assert len(settled(pieces)) == len(pieces)
    assert flowed(_filled(settled(pieces), facts)) == to_text(_filled(pieces, facts))


def _filled(pieces: list[str], facts: list[str]) -> str:
    return "".join(
        piece + fact for piece, fact in zip_longest(pieces, facts[: len(pieces) - 1], fillvalue="")
    )


def test_a_template_cannot_write_the_marks_itself() -> None:
    assert settled(["a\x1eb", "\x00c\x1d"]) == ["ab", "c"]


@given(st.lists(st.sampled_from(["word", "x" * 40, "https://a.example/" + "y" * 90, "-"])))
def test_wrapping_loses_no_word_and_breaks_only_where_it_must(parts: list[str]) -> None:
    lines = to_text("<p>" + " ".join(parts) + "</p>").splitlines()
    assert " ".join(lines).split() == parts
    for line, following in pairwise(lines):
        assert len(line) + 1 + len(following.split()[0]) > WIDTH
        assert len(line) <= WIDTH or len(line.split()) == 1
