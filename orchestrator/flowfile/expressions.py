"""Conditions and values of flows.yaml: Jinja's grammar into the domain's own tree.

Only what `_Translation` knows by name gets through; everything else of Jinja is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.expressions import Expression, Kind, Problem, Vocabulary, check
from orchestrator.flowfile.expression_tokens import syntax_of
from orchestrator.flowfile.expression_tree import Translation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["parse"]


def parse(
    text: str, vocabulary: Vocabulary, wanted: Kind | None = Kind.TRUTH
) -> Expression | tuple[Problem, ...]:
    """Read an expression; everything wrong with it at once when something is.

    Args:
        text: the expression as written, without `{{ }}`. Line breaks are spaces.
        vocabulary: the names of the place it stands in.
        wanted: what it has to yield; None takes any value.
    """
    tree = syntax_of(text)
    if isinstance(tree, Problem):
        return (tree,)
    translation = Translation(text, vocabulary)
    root = translation.translate(tree)
    problems = _told_once([*translation.problems, *check(root, wanted)])
    return problems or Expression(text, root)


def _told_once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """One problem for one place: what follows from an earlier one at the same spot is noise."""
    first: dict[int, Problem] = {}
    for problem in problems:
        first.setdefault(problem.offset, problem)
    return tuple(sorted(first.values()))
