"""Conditions and values of flows.yaml: the tree, its evaluation and its explanation."""

from __future__ import annotations

from orchestrator.domain.expressions.arithmetic import divide
from orchestrator.domain.expressions.audience import audience_problems
from orchestrator.domain.expressions.checking import Problem, check
from orchestrator.domain.expressions.evaluation import (
    EventCounter,
    Facts,
    Scope,
    evaluate,
    event_field,
    holds,
    no_events,
)
from orchestrator.domain.expressions.explanation import Explanation, explain
from orchestrator.domain.expressions.inspection import (
    names_used,
    needs_event,
    roots_used,
    segment_cycles,
    segments_used,
    too_big,
)
from orchestrator.domain.expressions.nodes import Expression
from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape
from orchestrator.domain.expressions.values import Value, text_of
from orchestrator.domain.expressions.vocabulary import (
    ATTRIBUTE_KINDS,
    RESERVED,
    StepOutput,
    Vocabulary,
    vocabulary,
)

__all__ = [
    "ATTRIBUTE_KINDS",
    "RESERVED",
    "EventCounter",
    "Explanation",
    "Expression",
    "Facts",
    "Kind",
    "Many",
    "Problem",
    "Record",
    "Scope",
    "Shape",
    "StepOutput",
    "Value",
    "Vocabulary",
    "audience_problems",
    "check",
    "divide",
    "evaluate",
    "event_field",
    "explain",
    "holds",
    "names_used",
    "needs_event",
    "no_events",
    "roots_used",
    "segment_cycles",
    "segments_used",
    "text_of",
    "too_big",
    "vocabulary",
]
