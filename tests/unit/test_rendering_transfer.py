from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rendering.transfer import encoded, in_ascii

odd = st.text(st.sampled_from("aaaaaaaaab .\t=\né€\x00_-\r\ud800🎉"), max_size=300)
long_lines = st.builds(
    lambda word, times, end: word * times + end,
    st.text(st.sampled_from("ab =.é"), max_size=8),
    st.integers(0, 60),
    st.text(st.sampled_from("ab =.é"), max_size=80),
)


@given(odd | long_lines | st.text(max_size=300))
def test_bodies_are_encoded_as_the_standard_library_would(content: str) -> None:
    data = content.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    beyond = sum(byte > 127 for byte in data)
    name, body = encoded(content)
    if name == "7bit":
        assert data.isascii()
        lines = data.split(b"\n")
    elif name == "base64":
        assert beyond * 6 > len(data)
        wire = data.replace(b"\n", b"\r\n")
        lines = [b2a_base64(wire[at : at + 57], newline=False) for at in range(0, len(wire), 57)]
    else:
        assert beyond * 6 <= len(data)
        lines = [b2a_qp(line).replace(b"\n", b"\r\n") for line in data.split(b"\n")]
    assert body == b"\r\n".join(lines)


@pytest.mark.parametrize("length", range(70, 82))
@pytest.mark.parametrize("end", ["a", "=", " ", ".", "é"])
def test_no_encoded_line_is_longer_than_76(length: int, end: str) -> None:
    name, body = encoded("x" * length + end + "\né")
    assert name == "quoted-printable"
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))


@pytest.mark.parametrize("text", ["", "Hello\n", "x" * 998 + "\n.x\n", "a From b\n\n", "a=b\tc"])
def test_ascii_in_ordinary_lines_is_not_encoded(text: str) -> None:
    assert encoded(text) == ("7bit", text.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    "line",
    ["x" * 999, "ends in space ", "or in a tab\t", "From here", ".", "no \0", "not ascii: é"],
)
@pytest.mark.parametrize("around", ["{}", "before\n{}\nbehind\n"])
def test_what_a_server_may_change_is_encoded(line: str, around: str) -> None:
    assert encoded(around.format(line))[0] == "quoted-printable"


PAGE = (
    "<title>{0}</title><style>p::before{{content:'x'}}</style><p title=\"{0}\">{0}</p>" + "." * 2000
)


@pytest.mark.parametrize("words", ["plain", "Hyvää", "“€5 – 文 🎉”", "a&amp;b&#228;ä"])
def test_a_page_in_ascii_says_the_same(words: str) -> None:
    page = PAGE.format(words)
    assert in_ascii(page).isascii()
    assert unescape(in_ascii(page)) == unescape(page)


@pytest.mark.parametrize(
    "page",
    [
        PAGE.replace("'x'", "'→'").format("Hyvää"),
        PAGE.replace("'x'", "'→'").replace("style", "STYLE").format("Hyvää"),
        PAGE.format("Hyvää<script>a('ä')</script>"),
        PAGE.format("Здравствуйте, ваша корзина"),
    ],
)
def test_a_page_stays_where_references_would_be_wrong_or_many(page: str) -> None:
    assert in_ascii(page) == page


def test_lines_of_998_bytes_pass_wherever_they_stand() -> None:
    for around in ("{}", "\n{}", "a\n{}\n", "{}\n" + "b\n" * 3000, "a\n" * 3000 + "{}"):
        assert encoded(around.format("x" * 998))[0] == "7bit"
        assert encoded(around.format("x" * 999))[0] == "quoted-printable"
