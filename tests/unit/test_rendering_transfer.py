from __future__ import annotations

from binascii import b2a_base64, b2a_qp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rendering.transfer import encoded

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
    if name == "base64":
        assert beyond * 6 > len(data)
        wire = data.replace(b"\n", b"\r\n")
        lines = [b2a_base64(wire[at : at + 57], newline=False) for at in range(0, len(wire), 57)]
    else:
        assert beyond * 6 <= len(data)
        lines = [b2a_qp(line).replace(b"\n", b"\r\n") for line in data.split(b"\n")]
    assert body == b"\r\n".join(lines)


@pytest.mark.parametrize("length", range(70, 82))
@pytest.mark.parametrize("end", ["a", "=", " ", ".", "é"])
def test_no_line_is_longer_than_76(length: int, end: str) -> None:
    _, body = encoded("x" * length + end)
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
