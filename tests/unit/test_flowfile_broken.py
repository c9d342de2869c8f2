"""Broken files, each with every finding it must yield: place, message and remedy.

A row is a file in `broken_flows/`: a whole flows.yaml, a line `=== expected ===`, and the
findings as `line:column: message` with the remedy indented under it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.findings import Finding, Severity
from orchestrator.flowfile import load_bytes, load_file, load_text, render_findings

ROWS = sorted((Path(__file__).parent / "broken_flows").glob("*.txt"))
MARK = "=== expected ===\n"


def told(finding: Finding) -> str:
    word = "warning: " if finding.severity is Severity.WARNING else ""
    return f"{finding.line}:{finding.column}: {word}{finding.message}\n    {finding.hint}\n"


@pytest.mark.parametrize("row", ROWS, ids=[row.stem for row in ROWS])
def test_a_broken_file_names_the_place_the_fault_and_the_remedy(row: Path) -> None:
    text, _, expected = row.read_text(encoding="utf-8").partition(MARK)
    loaded = load_text(text)
    assert "".join(told(finding) for finding in loaded.findings) == expected
    errors = [one for one in loaded.findings if one.severity is Severity.ERROR]
    assert loaded.publishable is not bool(errors)


def test_the_table_has_at_least_sixty_rows() -> None:
    assert len(ROWS) >= 60


@pytest.mark.parametrize("row", ROWS, ids=[row.stem for row in ROWS])
def test_every_remedy_is_said_and_every_caret_stays_on_its_line(row: Path) -> None:
    loaded = load_text(row.read_text(encoding="utf-8").partition(MARK)[0])
    for finding in loaded.findings:
        assert finding.hint
        line = loaded.source.line(finding.line)
        assert finding.column + finding.length - 1 <= len(line) + 1


def test_a_finding_shows_its_line_with_a_caret_under_the_place() -> None:
    text = "version: 1\nbrnd: {}\nflows: {}\n"
    loaded = load_text(text)
    assert render_findings(loaded.findings, loaded.source).startswith(
        'flows.yaml:1:1: "brand" is missing in flows.yaml\n'
        "    1 | version: 1\n"
        "      | ^ add brand: {name: …, url: …}\n"
        "\n"
        'flows.yaml:2:1: unknown key "brnd"\n'
        "    2 | brnd: {}\n"
        '      | ^^^^ did you mean "brand"?'
    )


def test_a_caret_stands_under_its_place_after_wide_characters_and_in_long_lines() -> None:
    loaded = load_text(f"版本: 1\n{'x' * 100}: {{}}\n")
    shown = render_findings(loaded.findings, loaded.source).splitlines()
    assert "    1 | 版本: 1" in shown
    assert any(line.startswith("      | ^^^^ known here") for line in shown)
    assert max(len(line) for line in shown if line.startswith("    2 |")) <= 82


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"# nothing yet\n", "the file is empty"),
        (b"version: 1\ntitle: caf\xe9\n", "this is not UTF-8 text"),
        ("version: 1\n".encode("utf-16"), "this is not UTF-8 text"),
        (b"a: 1\n" + b"#" * 1_000_001, "the file is larger than 1 MB"),
        (b"- " * 5000 + b"x", "nested more than 40 levels deep"),
        (b"a: " + b"[" * 5000, "nested more than 40 levels deep"),
        (b"a: &a [x]\nb: &b [*a, *a]\n", "anchors (&) are not read here"),
        (b"\x00", "an invisible control character (U+0000) stands here"),
        (b"just words", 'flows.yaml is wanted here, not "just words"'),
        (b"- a\n- b\n", "flows.yaml is wanted here, not a list"),
    ],
)
def test_hopeless_content_is_a_finding_not_a_crash(content: bytes, message: str) -> None:
    loaded = load_bytes(content)
    assert loaded.book is None
    assert [finding.message for finding in loaded.findings][:1] == [message]


def test_the_place_of_a_byte_that_is_not_utf8_is_told() -> None:
    (finding,) = load_bytes(b"version: 1\ntitle: caf\xe9\n").findings
    assert (finding.line, finding.column) == (2, 11)


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    (finding,) = load_file(tmp_path / "flows.yaml").findings
    assert finding.message == "the file cannot be read: No such file or directory"
    assert (finding.line, finding.column) == (1, 1)


def test_a_byte_order_mark_and_windows_line_ends_are_read_over() -> None:
    text = (Path(__file__).parent / "sample_flows.yaml").read_text(encoding="utf-8")
    windows = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert load_bytes(windows).book == load_text(text).book


def test_a_finding_on_one_line_can_be_clicked_in_a_terminal() -> None:
    (finding,) = load_text("version: 1\n", "shop.yaml").findings[:1]
    assert str(finding).startswith('shop.yaml:1:1: "brand" is missing')
    assert set(finding.as_json()) == {
        "severity",
        "rule",
        "file",
        "line",
        "column",
        "message",
        "hint",
    }
