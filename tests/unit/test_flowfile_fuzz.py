"""Whatever is done to a file, the loader answers with findings."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.flowfile import Loaded, explain_flow, load_bytes, load_text, render_findings
from orchestrator.flowfile.source import Log, Mapping, Scalar, Source
from orchestrator.flowfile.yaml_tree import read_tree

GOOD = (Path(__file__).parent / "sample_flows.yaml").read_text(encoding="utf-8")
LINES = GOOD.splitlines(keepends=True)
CASES = max(int(os.environ.get("FUZZ_CASES", "2000")) // 8, 1)
PIECES = (
    "{{",
    "'{",
    "<<: *a",
    "&a ",
    "!!python/object:os.system ",
    "---\n",
    "null",
    "1e999",
    "0x1F",
    "after ",
    "99999999999999999999 days",
    "steps:",
    "- send: ",
    "when: ",
    "if: ",
    "\r",
    ": ",
    "- ",
    "\u2028",
    "\x85",
    "\x00",
    "\ufeff",
    "é",
    "😀",
    *"{}[]():,-#*&!|>'\"%@`?~\t\\ \n",
)
NASTY = st.sampled_from(PIECES)


def holds_together(loaded: Loaded) -> None:
    """A book, or a reason why not, and every finding can be shown and points into the file."""
    assert loaded.book is not None or loaded.findings
    assert render_findings(loaded.findings, loaded.source) or not loaded.findings
    lines = loaded.source.text.count("\n") + 1
    for finding in loaded.findings:
        assert 0 <= finding.line <= lines
        assert finding.length >= 1
        assert finding.message
    if loaded.book is not None:
        for name in loaded.book.flows:
            assert explain_flow(loaded.book, name)


@settings(max_examples=CASES, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), NASTY, st.integers(0, 12)), max_size=4))
def test_inserting_and_deleting_anywhere_never_crashes(
    edits: list[tuple[int, str, int]],
) -> None:
    text = GOOD
    for at, new, deleted in edits:
        text = text[:at] + new + text[at + deleted :]
    holds_together(load_text(text))


@settings(max_examples=CASES, deadline=None)
@given(st.data())
def test_moving_dropping_and_indenting_lines_never_crashes(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "move", "twice", "indent", "dedent"])):
            case "drop":
                del lines[at]
            case "move":
                lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "twice":
                lines.insert(at, lines[at])
            case "indent":
                lines[at] = " " * data.draw(st.integers(1, 5)) + lines[at]
            case _:
                lines[at] = lines[at][data.draw(st.integers(1, 3)) :]
    holds_together(load_text("".join(lines)))


@settings(max_examples=CASES, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_never_crash(content: bytes) -> None:
    holds_together(load_bytes(content))


@settings(max_examples=CASES, deadline=None)
@given(st.text(max_size=200))
def test_any_text_never_crashes(text: str) -> None:
    holds_together(load_text(text))


@given(st.text(alphabet="ab '\"\\:#,{é😀", min_size=1), st.sampled_from("'\""))
def test_a_place_inside_a_quoted_text_is_found_again(text: str, mark: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    written = escaped if mark == '"' else text.replace("'", "''")
    source = Source("flows.yaml", f"key: {mark}{written}{mark}\n")
    root = read_tree(source, Log(source)).root
    assert isinstance(root, Mapping)
    scalar = root.get("key")
    assert isinstance(scalar, Scalar)
    assert scalar.text == text
    for at, char in enumerate(text):
        span = source.within(scalar, at, at + 1)
        there = source.text[span.start]
        assert there == char or (there == "\\" and source.text[span.start + 1] == char)
