"""The marketers' format: flows.yaml to a compiled book, with every error in its place."""

from __future__ import annotations

from orchestrator.flowfile.loading import (
    Loaded,
    TemplateFile,
    check,
    load_bytes,
    load_file,
    load_text,
)

__all__ = ["Loaded", "TemplateFile", "check", "load_bytes", "load_file", "load_text"]
