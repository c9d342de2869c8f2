"""A text is counted as networks cut it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.segments import (
    BASIC,
    EXTENSION,
    TYPOGRAPHIC,
    Encoding,
    in_plain_letters,
    offenders,
    size_of,
)

PERSIAN = "ب"
EMOJI = "😀"

# 3GPP TS 23.038 section 6.2.1, column by column, by Unicode code point; 0x1B is the escape.
GSM_TABLE = (
    "0040 00A3 0024 00A5 00E8 00E9 00F9 00EC 00F2 00C7 000A 00D8 00F8 000D 00C5 00E5 "
    "0394 005F 03A6 0393 039B 03A9 03A0 03A8 03A3 0398 039E 00C6 00E6 00DF 00C9 0020 "
    "0021 0022 0023 00A4 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F 0030 "
    "0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F 00A1 "
    "0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F 0050 "
    "0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C4 00D6 00D1 00DC 00A7 00BF "
    "0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F 0070 "
    "0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E4 00F6 00F1 00FC 00E0"
).split()
GSM_EXTENSION = "000C 005E 007B 007D 005C 005B 007E 005D 007C 20AC".split()


def characters(points: list[str]) -> set[str]:
    return {chr(int(point, 16)) for point in points}


def test_the_alphabet_is_that_of_the_standard_code_point_by_code_point() -> None:
    assert len(GSM_TABLE) == 127
    assert characters(GSM_TABLE) == BASIC
    assert characters(GSM_EXTENSION) == EXTENSION


@pytest.mark.parametrize("point", range(0x250))
def test_every_latin_character_costs_what_its_table_says(point: int) -> None:
    letter = chr(point)
    size = size_of(letter)
    wanted = {True: (Encoding.GSM7, 1), False: (Encoding.UCS2, 1)}[letter in BASIC]
    if letter in EXTENSION:
        wanted = (Encoding.GSM7, 2)
    assert (size.encoding, size.units) == wanted


@pytest.mark.parametrize("letter", ["ç", "`", "\t", "á", "’", "\u00a0", "Ё", "\u200c"])
def test_what_looks_as_if_it_were_in_the_alphabet_and_is_not(letter: str) -> None:
    assert size_of(letter).encoding is Encoding.UCS2


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        ("a", Encoding.GSM7, 1),
        ("a" * 160, Encoding.GSM7, 1),
        ("a" * 161, Encoding.GSM7, 2),
        ("a" * 306, Encoding.GSM7, 2),
        ("a" * 307, Encoding.GSM7, 3),
        ("€" * 80, Encoding.GSM7, 1),
        ("€" * 81, Encoding.GSM7, 2),
        ("a" * 152 + "€" + "a" * 152, Encoding.GSM7, 3),  # the pair does not fit behind 152
        (PERSIAN * 70, Encoding.UCS2, 1),
        (PERSIAN * 71, Encoding.UCS2, 2),
        (PERSIAN * 134, Encoding.UCS2, 2),
        (PERSIAN * 135, Encoding.UCS2, 3),
        (EMOJI * 35, Encoding.UCS2, 1),
        (EMOJI * 36, Encoding.UCS2, 2),
        (PERSIAN * 66 + EMOJI + PERSIAN * 66, Encoding.UCS2, 3),  # nor does a surrogate pair
        ("a" * 152 + PERSIAN, Encoding.UCS2, 3),
        ("", Encoding.GSM7, 1),
    ],
)
def test_a_text_takes_as_many_sms_as_a_network_makes_of_it(
    text: str, encoding: Encoding, segments: int
) -> None:
    size = size_of(text)
    assert (size.encoding, size.segments) == (encoding, segments)


def parts_by_hand(text: str) -> int:
    """The same by cutting the text into its parts."""
    gsm = all(letter in BASIC | EXTENSION for letter in text)
    costs = [
        1 + (letter in EXTENSION) if gsm else len(letter.encode("utf-16-be")) // 2
        for letter in text
    ]
    alone, in_part = (160, 153) if gsm else (70, 67)
    if sum(costs) <= alone:
        return 1
    parts: list[int] = [0]
    for cost in costs:
        if parts[-1] + cost > in_part:
            parts.append(0)
        parts[-1] += cost
    return len(parts)


LETTERS = st.sampled_from(["a", "é", "€", "[", PERSIAN, EMOJI, "’"])


@given(st.lists(st.tuples(LETTERS, st.integers(1, 160)), max_size=6))
def test_counting_agrees_with_cutting(runs: list[tuple[str, int]]) -> None:
    text = "".join(letter * times for letter, times in runs)
    assert size_of(text).segments == parts_by_hand(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_units_are_those_of_the_encoding(text: str) -> None:
    size = size_of(text)
    if size.encoding is Encoding.UCS2:
        assert size.units == len(text.encode("utf-16-be")) // 2
        assert offenders(text)
    else:
        assert offenders(text) == []


def test_offenders_are_told_once_with_place_and_what_to_write_instead() -> None:
    first, second = offenders("It’s your’s – ž")[:2]
    assert (first.character, first.position, first.count, first.instead) == ("’", 2, 2, "'")
    assert (second.code_point, second.instead) == ("U+2013", "-")
    assert offenders("ž")[0].instead is None


def test_typographic_characters_have_a_plain_form_of_the_alphabet() -> None:
    assert all(set(plain) <= BASIC for plain in TYPOGRAPHIC.values())
    assert not any(one in BASIC | EXTENSION for one in TYPOGRAPHIC)
    # None of them is a letter of a language.
    assert not any(unicodedata.category(one).startswith("L") for one in TYPOGRAPHIC)
    assert in_plain_letters("“It’s” 5\u00a0€… ž\u200cب") == '"It\'s" 5 €... ž\u200cب'
