"""The marketers' format: flows.yaml to a compiled book, with every error in its place."""

from __future__ import annotations

from orchestrator.flowfile.explain import explain_flow
from orchestrator.flowfile.jsonschema import json_schema
from orchestrator.flowfile.loading import (
    Loaded,
    TemplateFile,
    check,
    load_bytes,
    load_file,
    load_text,
)
from orchestrator.flowfile.report import render_finding, render_findings

__all__ = [
    "Loaded",
    "TemplateFile",
    "check",
    "explain_flow",
    "json_schema",
    "load_bytes",
    "load_file",
    "load_text",
    "render_finding",
    "render_findings",
]
