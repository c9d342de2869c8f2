"""Values that need quotes: where a careless one ends, and how to write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestrator.flowfile.source import Entry, Log, Scalar, Source, Span

CLOSERS: Final = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Slip:
    """A syntax error in the writer's terms; `corrected` is the whole line mended."""

    line: int
    column: int
    message: str
    hint: str = ""
    length: int = 1
    corrected: str | None = None


def bad_character(line: int, column: int, character: str) -> Slip:
    """A control character no text file should hold."""
    return Slip(
        line,
        column,
        f"an invisible control character (U+{ord(character):04X}) stands here",
        "delete it",
    )


def needs_quotes(source: Source, offset: int) -> Slip:
    """A value whose first character means something else to YAML: `*`, `{{`."""
    number, column = source.place(offset)
    line = source.line(number)
    end = scan_value(line, column - 1) if re.search(r"[{\[]", line[: column - 1]) else len(line)
    value = line[column - 1 : end].rstrip()
    message = f'a value that starts with "{value[:1]}" needs quotes'
    return quoted(line, number, column, value, message)


def quote(value: str) -> str:
    """The value in whichever quotes need no escapes."""
    if '"' not in value and "\\" not in value:
        return f'"{value}"'
    return "'" + value.replace("'", "''") + "'"


def scan_value(text: str, start: int) -> int:
    """Where a value written without care ends: brackets and quotes closed, then `,` or `}`."""
    closers: list[str] = []
    at = start
    while at < len(text) and text[at] != "\n":
        char = text[at]
        if char in "'\"":
            end = text.find(char, at + 1)
            if end < 0 or "\n" in text[at:end]:
                at += 1
                continue
            at = end
        elif char in CLOSERS:
            closers.append(CLOSERS[char])
        elif closers and char == closers[-1]:
            closers.pop()
        elif not closers and char in ",}]":
            return at
        at += 1
    return at


def rejoin(source: Source, log: Log, entries: list[Entry]) -> list[Entry]:
    """Mend conditions that a comma cut inside `{ }`.

    `{event: x, where: any_item(order, category='c')}` reads as YAML, but as three entries.
    The first that leaves a bracket or a quote open is logged and joined with what follows.
    """
    joined: list[Entry] = []
    skip_to = -1
    for entry in entries:
        if entry.key.start < skip_to:
            continue
        value = entry.value
        if not isinstance(value, Scalar) or value.style or _balanced(value.text):
            joined.append(entry)
            continue
        skip_to = scan_value(source.text, value.start)
        whole = source.text[value.start : skip_to].strip()
        cut = value.end
        log.wrong(
            "yaml",
            Span(cut, cut + 1),
            f'the comma cuts "{entry.key.text}" short inside {{ }}',
            f"put it in quotes: {entry.key.text}: {quote(whole)}",
        )
        mended = Scalar(value.start, value.start + len(whole), whole)
        joined.append(Entry(entry.key, mended))
    return joined


def _balanced(text: str) -> bool:
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    return bare.count("(") <= bare.count(")")


def quoted(line: str, number: int, column: int, value: str, message: str) -> Slip:
    """A slip whose remedy is to put a value in quotes."""
    at = column - 1
    corrected = line[:at] + quote(value) + line[at + len(value) :]
    return Slip(
        number, column, message, f"write {corrected.strip()}", max(len(value), 1), corrected
    )
