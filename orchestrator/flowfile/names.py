"""What the file has given names to, and the expressions that use them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.expressions import Expression, Kind, Vocabulary, too_big
from orchestrator.domain.flows import Policy
from orchestrator.flowfile.expressions import parse
from orchestrator.flowfile.shapes import nearest
from orchestrator.flowfile.source import Log, Scalar, Span
from orchestrator.flowfile.structures import Placed

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_LEADING_ZERO: Final = re.compile(r"(?<![\w.])0\d+(?![\w.])")

Place = Vocabulary
"""The names an expression may use where it stands."""


@dataclass(slots=True)
class Names:
    """Everything named in one file."""

    log: Log
    base: Vocabulary
    topics: Collection[str] = ()
    segments: Collection[str] = ()
    flows: Collection[str] = ()
    staff: Collection[str] = ()
    attributes: Collection[str] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    expanded: Mapping[str, Expression] = field(default_factory=dict)
    """The segments' conditions, once they are known and free of circles."""

    def known(self, kind: str, name: Placed[str], names: Collection[str]) -> bool:
        """Whether a name is known; otherwise that is logged with the nearest one."""
        if name.value in names:
            return True
        span = Span(name.node.start, name.node.end)
        self.log.wrong(
            "name", span, f'unknown {kind} "{name.value}"', nearest(name.value, [*names])
        )
        return False

    def optional(
        self, scalar: Scalar | None, place: Place, wanted: Kind | None = Kind.TRUTH
    ) -> Expression | None:
        """The expression in a scalar, if there is one and it is right."""
        return self.expression(scalar, place, wanted) if scalar else None

    def expression(
        self, scalar: Scalar, place: Place, wanted: Kind | None = Kind.TRUTH
    ) -> Expression | None:
        """The expression, or None after logging each problem at its place in the file.

        `wanted` is what it has to yield, None where anything will do.
        """
        if self._report_leading_zeros(scalar):
            return None
        parsed = parse(scalar.text, place, wanted)
        if isinstance(parsed, Expression):
            return None if self._report_size(scalar, parsed) else parsed
        for problem in parsed:
            start = problem.offset
            span = self.log.source.within(scalar, start, start + problem.length)
            self.log.wrong("expression", span, problem.message, problem.hint)
        return None

    def _report_size(self, scalar: Scalar, parsed: Expression) -> bool:
        """A condition of moderate size can name segments that make it a huge one."""
        if not too_big(parsed, self.expanded):
            return False
        span = Span(scalar.start, scalar.end)
        message = "with its segments written out the condition is too big to be asked"
        self.log.wrong("expression", span, message, "name fewer segments")
        return True

    def _report_leading_zeros(self, scalar: Scalar) -> bool:
        """A postcode or a code without its quotes: a number where text is meant."""
        bare = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), scalar.text)
        found = list(_LEADING_ZERO.finditer(bare))
        for number in found:
            span = self.log.source.within(scalar, number.start(), number.end())
            message = f"{number[0]} is a number where text is meant: numbers have no leading zeros"
            self.log.wrong("expression", span, message, f"write it in quotes: '{number[0]}'")
        return bool(found)
