"""What a check has to say about a place in a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error stops publishing; a warning is said and let pass."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark: what is wrong, where, and what to write instead.

    `line` and `column` count from one, in characters; 0 stands for the file as a whole.
    `length` is the width of the place in characters, for the caret under it.
    """

    severity: Severity
    rule: str
    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    length: int = 1

    def __str__(self) -> str:
        """`file:line:column: what is wrong, what to write instead` on one line."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f"; {self.hint}" if self.hint else "")

    def as_json(self) -> dict[str, str | int]:
        """The fields of `check --json`."""
        return {
            "severity": self.severity.value,
            "rule": self.rule,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint,
        }


def has_errors(findings: tuple[Finding, ...]) -> bool:
    """Whether anything found stops publishing."""
    return any(finding.severity is Severity.ERROR for finding in findings)
