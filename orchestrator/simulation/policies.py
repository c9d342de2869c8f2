"""The shop under another privacy policy than its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.flowfile import load_text
from orchestrator.flowfile.other_policy import with_other_policy
from orchestrator.services.versions import Candidate


def earlier(candidate: Candidate) -> Candidate:
    """The candidate with the policy before its own, so that publishing it is a change."""
    return _under(candidate, lambda version: f"before {version}")


def later(candidate: Candidate) -> Candidate:
    """The candidate with a policy after its own."""
    return _under(candidate, lambda version: f"{version}, revised")


def _under(candidate: Candidate, renamed: Callable[[str], str]) -> Candidate:
    """The candidate itself where it names no policy."""
    text = with_other_policy(candidate.source, candidate.name, renamed)
    if text is None:
        return candidate
    return replace(candidate, source=text, book=load_text(text, candidate.name).book)
