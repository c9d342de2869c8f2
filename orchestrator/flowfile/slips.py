"""The usual slips in YAML, recognised, with the line as it should be.

A syntax error says where a reader got lost; a slip says what the writer meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orchestrator.flowfile.quoting import CLOSERS, Slip, quote, quoted, scan_value
from orchestrator.flowfile.source import Source

LOOK_ALIKES: Final = {
    "\u00a0": ("a no-break space", " "),
    "\u3000": ("a wide space", " "),
    "\u200b": ("an invisible space", ""),
    "\ufeff": ("an invisible space", ""),
    "\uff1a": ("a wide colon", ": "),
}
_UP_TO_VALUE: Final = re.compile(r"[^:'\"#]*:?.?")
_ENTRY: Final = re.compile(r"(?P<lead>\s*(?:- )*)(?P<key>[\w.-]+):(?P<gap> +)(?P<value>\S.*)")
_SPECIAL: Final = "@`%*&!|>"
_CUTTERS: Final = {",": "the comma", ":": "a colon"} | dict.fromkeys("()[]{}", "a bracket")


COMPANIONS: Final = frozenset(
    "id via to subject topic attach policy if_late if_not_allowed within since then otherwise "
    "variants body secret data reason".split()
)
"""Keys that stand beside a step's verb and never begin a step of their own."""


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A parser's complaint; lines and columns count from one, 0 where it gave none."""

    what: str
    context: str
    line: int
    column: int
    context_line: int
    context_column: int


def diagnose(source: Source, problem: SyntaxProblem) -> Slip:
    """The slip behind a complaint; the plain complaint where none is recognised."""
    for recognise in (_look_alike, *_RECOGNISERS):
        slip = recognise(source, problem)
        if slip is not None:
            return slip
    return Slip(
        problem.line,
        problem.column,
        f"this is not YAML here: {problem.what or problem.context}",
        "check the quotes, colons, brackets and indentation of this line and the one above",
    )


def look_alike(text: str) -> str | None:
    """The first character that only looks like a space or a colon."""
    return next((char for char in text if char in LOOK_ALIKES), None)


def _look_alike(source: Source, problem: SyntaxProblem) -> Slip | None:
    for number in (problem.line, problem.line - 1, problem.context_line):
        line = source.line(number)
        key = _UP_TO_VALUE.match(line)
        char = look_alike(key[0]) if key else None
        if char:
            name, plain = LOOK_ALIKES[char]
            corrected = line.replace(char, plain)
            message = f"{name} (U+{ord(char):04X}) stands here"
            hint = f"write {corrected.strip()}"
            return Slip(number, line.index(char) + 1, message, hint, corrected=corrected)
    return None


def _tab(source: Source, problem: SyntaxProblem) -> Slip | None:
    line = source.line(problem.line)
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" not in indentation:
        return None
    above = _line_above(source, problem.line)
    spaces = _indentation(above) + (2 if above.rstrip().endswith(":") else 0)
    column = indentation.index("\t") + 1
    corrected = " " * spaces + line.lstrip()
    hint = "indent with two spaces for each level"
    return Slip(problem.line, column, "a tab in the indentation", hint, corrected=corrected)


def _special_start(source: Source, problem: SyntaxProblem) -> Slip | None:
    number, column = problem.line, problem.column
    if problem.context_line and problem.context.endswith(("alias", "anchor", "block scalar")):
        number, column = problem.context_line, problem.context_column
    line = source.line(number)
    char = line[column - 1 : column]
    if not char or char not in _SPECIAL:
        return None
    if "cannot start any token" not in problem.what and number != problem.context_line:
        return None
    end = scan_value(line, column - 1) if "{" in line[:column] else len(line)
    value = line[column - 1 : end].rstrip()
    message = f'a value that starts with "{char}" needs quotes'
    return quoted(line, number, column, value, message)


def _missing_gap(source: Source, problem: SyntaxProblem) -> Slip | None:
    """`key:value` above: no space after the colon."""
    for number in (problem.line, problem.line - 1, problem.context_line):
        line = source.line(number)
        found = re.fullmatch(r"(\s*(?:- )*)([A-Za-z_]\w*):([^\s:/].*)", line)
        if found:
            lead, key, value = found.groups()
            corrected = f"{lead}{key}: {value}"
            column = len(lead) + len(key) + 1
            return Slip(
                number,
                column,
                f'a space is missing after "{key}:"',
                f"write {corrected.strip()}",
                corrected=corrected,
            )
    return None


def _colon_in_value(source: Source, problem: SyntaxProblem) -> Slip | None:
    if "mapping values are not allowed" not in problem.what:
        return None
    line = source.line(problem.line)
    keys = [*re.finditer(r"(?:^\s*(?:- )*|[{,]\s*)([\w.-]+):\s+", line[: problem.column - 1])]
    if not keys or line[problem.column - 1 : problem.column] != ":":
        return None
    start = keys[-1].end()
    end = len(line) if keys[-1][0][0] not in "{," else scan_value(line, start)
    value = line[start:end].rstrip()
    slip = quoted(line, problem.line, start + 1, value, "")
    return Slip(
        problem.line,
        problem.column,
        f'a colon inside the text of "{keys[-1][1]}"',
        f"put the text in quotes: {slip.hint.removeprefix('write ')}",
        corrected=slip.corrected,
    )


def _too_deep(source: Source, problem: SyntaxProblem) -> Slip | None:
    """A key under a line that already has its value, indented more than that line."""
    if "mapping values are not allowed" not in problem.what:
        return None
    above = _line_above(source, problem.line)
    found = _ENTRY.match(above)
    if not found:
        return None
    line = source.line(problem.line)
    indentation = " " * len(found["lead"])
    corrected = indentation + line.strip()
    return Slip(
        problem.line,
        _indentation(line) + 1,
        "this line is indented deeper than the line above, which already has its value",
        f'indent it by {_spaces(len(indentation))}, like "{found["key"]}"',
        length=len(line.strip()),
        corrected=corrected,
    )


def _open_quote(source: Source, problem: SyntaxProblem) -> Slip | None:
    if "quoted scalar" not in problem.context:
        return None
    if "escape" in problem.what or "expected escape" in problem.what:
        return Slip(
            problem.line,
            max(problem.column - 1, 1),
            "a backslash starts a code inside double quotes",
            "write two backslashes, or use single quotes",
            length=2,
        )
    line = source.line(problem.context_line).rstrip()
    at = problem.context_column - 1
    corrected = line + line[at : at + 1]
    hint = f"write {corrected.strip()}"
    if line[at : at + 1] == "'":
        hint += f", or {line[:at].strip()} {quote(line[at:])} if the apostrophe is meant"
    return Slip(
        problem.context_line,
        problem.context_column,
        "this quote is never closed",
        hint,
        corrected=corrected,
    )


def _cut_in_braces(source: Source, problem: SyntaxProblem) -> Slip | None:
    """A condition with quotes or brackets of its own, unquoted inside `{ }`."""
    if "flow mapping" not in problem.context or problem.line != problem.context_line:
        return None
    line = source.line(problem.line)
    keys = [*re.finditer(r"[{,]\s*([A-Za-z_]\w*):\s+", line[: problem.column - 1])]
    if not keys:
        return None
    start = keys[-1].end()
    value = line[start : scan_value(line, start)].rstrip()
    if len(value) <= problem.column - 1 - start:
        return None
    comma = value.find(",", 0, problem.column - 1 - start)
    column = start + comma + 1 if comma >= 0 else problem.column
    what = _CUTTERS.get(line[column - 1 : column], "a quote")
    slip = quoted(line, problem.line, start + 1, value, "")
    return Slip(
        problem.line,
        column,
        f'{what} cuts "{keys[-1][1]}" short inside {{ }}',
        f"put it in quotes: {keys[-1][1]}: {quote(value)}",
        corrected=slip.corrected,
    )


def _open_bracket(source: Source, problem: SyntaxProblem) -> Slip | None:
    if "flow mapping" not in problem.context and "flow sequence" not in problem.context:
        return None
    line = source.line(problem.context_line)
    at = problem.context_column - 1
    opener = line[at : at + 1]
    if opener not in CLOSERS:
        return None
    comment = re.search(r":( +)(#[^\s,}\]]+)", line[at:])
    if comment:
        column = at + comment.start(2) + 1
        message = 'a space and "#" begin a comment, so the value needs quotes'
        return quoted(line, problem.context_line, column, comment[2], message)
    closer = CLOSERS[opener]
    corrected = line.rstrip() + closer if problem.line != problem.context_line else None
    hint = f"write {corrected.strip()}" if corrected else f'close it with "{closer}"'
    return Slip(
        problem.context_line,
        problem.context_column,
        f'"{opener}" is never closed',
        hint,
        corrected=corrected,
    )


def _missing_dash(source: Source, problem: SyntaxProblem) -> Slip | None:
    """A line among list items that does not start with `- `."""
    if "block collection" not in problem.context or "<block end>" not in problem.what:
        return None
    line = source.line(problem.line)
    if line.lstrip().startswith("- "):
        return None
    lead = " " * (problem.context_column - 1)
    corrected = f"{lead}- {line.strip()}"
    key = line.strip().partition(":")[0]
    if key in COMPANIONS:
        corrected = f"{lead}  {line.strip()}"
        return Slip(
            problem.line,
            _indentation(line) + 1,
            f'"{key}" belongs to a step and is indented too little',
            f"indent it by {_spaces(len(lead) + 2)}",
            length=len(line.strip()),
            corrected=corrected,
        )
    return Slip(
        problem.line,
        _indentation(line) + 1,
        'this line stands in a list but does not start with "- "',
        f"write {corrected.strip()}, or indent it to belong to the line above",
        length=len(line.strip()),
        corrected=corrected if line.strip() else None,
    )


def _after_quote(source: Source, problem: SyntaxProblem) -> Slip | None:
    """Text that goes on after a closing quote or bracket."""
    if "<block end>" not in problem.what or "scalar" not in problem.what:
        return None
    line = source.line(problem.line)
    found = _ENTRY.fullmatch(line)
    if not found or found.start("value") >= problem.column - 1:
        return None
    column = found.start("value") + 1
    value = found["value"].rstrip()
    opener = value[0]
    slip = quoted(line, problem.line, column, value, "")
    if opener in "'\"" and value.endswith(opener) and value[1:-1].count(opener) % 2:
        # 'It's here': the outer two are quotes, the one between is part of the text.
        corrected = line[: column - 1] + quote(value[1:-1])
        slip = Slip(problem.line, column, "", f"write {corrected.strip()}", corrected=corrected)
    what = "the closing quote" if opener in "'\"" else f'the closing "{CLOSERS.get(opener, "")}"'
    return Slip(
        problem.line,
        problem.column,
        f"text goes on after {what}",
        f"put the whole value in quotes: {slip.hint.removeprefix('write ')}",
        corrected=slip.corrected,
    )


def _first_dash(source: Source, problem: SyntaxProblem) -> Slip | None:
    """The first item of a list lacks the `- ` that the next one has."""
    line = source.line(problem.line)
    number = problem.line - 1
    first = source.line(number)
    own = _indentation(line)
    opened = number > 1 and _line_above(source, number).rstrip().endswith(":")
    alike = line.lstrip().startswith("- ") and _indentation(first) == own and ":" in first
    if "<block end>" not in problem.what or not (opened and alike):
        return None
    return Slip(
        number,
        own + 1,
        'this line stands in a list but does not start with "- "',
        f"write - {first.strip()}",
        length=len(first.strip()),
        corrected=f"{' ' * own}- {first.strip()}",
    )


def _odd_indentation(source: Source, problem: SyntaxProblem) -> Slip | None:
    if "<block end>" not in problem.what:
        return None
    line = source.line(problem.line)
    own = _indentation(line)
    for number in range(problem.line - 1, 0, -1):
        other = source.line(number)
        same_kind = other.lstrip().startswith("- ") == line.lstrip().startswith("- ")
        if other.strip() and not other.lstrip().startswith("#") and same_kind:
            break
    else:
        return None
    target = _indentation(other)
    return Slip(
        problem.line,
        own + 1,
        f"indented by {_spaces(own)}, which matches no line above",
        f"indent it by {_spaces(target)}, like line {number}",
        length=max(len(line.strip()), 1),
        corrected=" " * target + line.strip() if target != own else None,
    )


def _no_colon(source: Source, problem: SyntaxProblem) -> Slip | None:
    number = problem.context_line or problem.line
    if "mapping values are not allowed" in problem.what:
        number = problem.line - 1
    elif "could not find expected ':'" not in problem.what:
        return None
    line = source.line(number)
    if ":" in line or not line.strip():
        return None
    return Slip(
        number,
        _indentation(line) + 1,
        "no colon in this line",
        f'write "{line.strip().split(" ")[0]}: ..."',
        length=max(len(line.strip()), 1),
    )


def _spaces(count: int) -> str:
    return "1 space" if count == 1 else f"{count or 'no'} spaces"


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _line_above(source: Source, number: int) -> str:
    for above in range(number - 1, 0, -1):
        line = source.line(above)
        if line.strip() and not line.lstrip().startswith("#"):
            return line
    return ""


_Recogniser = Callable[[Source, SyntaxProblem], Slip | None]
_RECOGNISERS: Final[tuple[_Recogniser, ...]] = (
    _tab,
    _special_start,
    _missing_gap,
    _colon_in_value,
    _too_deep,
    _open_quote,
    _cut_in_braces,
    _open_bracket,
    _missing_dash,
    _after_quote,
    _first_dash,
    _odd_indentation,
    _no_colon,
)
