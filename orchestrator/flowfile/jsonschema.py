"""The JSON Schema of flows.yaml for editors, made from the same shapes that read it.

It knows keys, words and patterns. What needs the whole file (names, expressions, the rules
of classes) only the loader checks.
"""

from __future__ import annotations

import json

from orchestrator.flowfile.book import BOOK
from orchestrator.flowfile.policies import POLICY
from orchestrator.flowfile.shapes import JsonSchema
from orchestrator.flowfile.steps import STEP
from orchestrator.flowfile.texts import LOCALE_PATTERN


def json_schema() -> JsonSchema:
    """The schema as plain data (JSON Schema 2020-12)."""
    text: JsonSchema = {"type": ["string", "number"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flows.yaml",
        **BOOK.schema(),
        "$defs": {
            "policy": POLICY.schema(),
            "step": STEP.schema(),
            "steps": {
                "anyOf": [
                    {"$ref": "#/$defs/step"},
                    {"type": "array", "items": {"$ref": "#/$defs/step"}},
                ]
            },
            "text": {
                "anyOf": [
                    text,
                    {
                        "type": "object",
                        "propertyNames": {"pattern": f"^(?:{LOCALE_PATTERN})$"},
                        "additionalProperties": text,
                    },
                ]
            },
        },
    }


def schema_text() -> str:
    """The schema as it is published in `docs/flows.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
