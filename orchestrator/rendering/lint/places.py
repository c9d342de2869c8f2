"""Where in a template something was written: each tag of a source is marked before it is rendered.

The mark is an attribute, `data-at="file:line:column"`, with the file as a number. What components
make bears the mark of the component; for that the words are looked up in the template itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MARK: Final = "data-at"
# What is translated is looked up as it is written, so it is passed over whole.
_TAG = re.compile(
    r"\{%-?\s*trans\b.*?\bendtrans\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}"
    r"|(<[a-zA-Z][a-zA-Z0-9]*)(?=[\s>/])",
    re.DOTALL,
)
_MARKED = re.compile(rf' {MARK}="[0-9:]*"')
_SHORTEST: Final = 3
"""Characters of a text that is looked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file of templates; line and column count from one, 0 is the file as a whole."""

    path: str
    line: int = 0
    column: int = 0


class Places:
    """The sources of one version's mails, by path, and the same with marks."""

    def __init__(self, sources: Mapping[str, str], built_in: Mapping[str, str]) -> None:
        self._sources = sources
        self._paths = [path for path in sources if path.endswith(".html")]
        self._own = {path for path in sources if built_in.get(path) != sources[path]}
        numbers = {path: number for number, path in enumerate(self._paths)}
        self.marked: dict[str, str] = {
            path: _with_marks(text, numbers[path]) if path in numbers else text
            for path, text in sources.items()
        }

    def of(self, path: str, marks: Sequence[str | None], clues: Sequence[str]) -> Place:
        """The place for an element of the template `path`.

        `marks` are those of the element and of what is around it, from within outwards; `clues`
        are texts that stand there, to be looked for where no mark is in a file of the shop's.
        """
        if marks and marks[0] is not None and (place := self._at(marks[0])):
            return place
        if place := self._found(path, clues):
            return place
        for mark in marks[1:]:
            if mark is not None and (place := self._at(mark)) and place.path == path:
                return place
        return Place(path)

    def _at(self, mark: str) -> Place | None:
        number, line, column = map(int, mark.split(":"))
        path = self._paths[number]
        return Place(path, line, column) if path in self._own else None

    def _found(self, path: str, clues: Sequence[str]) -> Place | None:
        source = self._sources.get(path, "")
        for clue in clues:
            text = clue.strip()
            start = source.find(text) if len(text) >= _SHORTEST else -1
            if start >= 0:
                before = source[:start]
                return Place(path, before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1)
        return None


def unmarked(html: str) -> str:
    """The page as it is sent."""
    return _MARKED.sub("", html)


def _with_marks(source: str, number: int) -> str:
    ends = [found.end() for found in re.finditer("\n", source)]

    def marked(found: re.Match[str]) -> str:
        if not found[1]:
            return found[0]
        above = [end for end in ends if end <= found.start()]
        column = found.start() - (above[-1] if above else 0) + 1
        return f'{found[1]} {MARK}="{number}:{len(above) + 1}:{column}"'

    return _TAG.sub(marked, source)
