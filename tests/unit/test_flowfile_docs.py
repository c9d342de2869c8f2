"""The documentation and the published schema say what the loader does."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.flowfile import json_schema, load_text
from orchestrator.flowfile.availability import NOT_YET
from orchestrator.flowfile.jsonschema import schema_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "flows.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml ?(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
NOTICE = (
    "{version: a, effective: 2026-12-15, url: https://northwind.example/privacy, "
    "previous_url: https://northwind.example/old, why: The law., changes: [Much.]}"
)
TOP = {
    "version": "version: 1\n",
    "brand": "brand: {name: N, url: https://n.example, email: n@n.example, postal_address: K, "
    "support: n@n.example, locale: en, timezone: UTC, staff: {support: n@n.example}, "
    f"privacy: {NOTICE}}}\n",
    "topics": "topics: {offers: {title: Offers}}\n",
    "policies": "policies: {default: {caps: {email: 2 per day}}}\n",
    "attributes": "attributes: {birthday: date, points: number}\n",
    "segments": "segments: {lapsed: contact.orders.count > 0}\n",
}
FLOW = {"class": "class: marketing", "topic": "topic: offers", "when": "when: manual"}


def indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())


def whole_file(kind: str, text: str) -> str:
    """An example of the page as a file of its own."""
    if kind == "":
        return text
    if kind == "top":
        keys = set(re.findall(r"^(\w+):", text, flags=re.MULTILINE))
        return (
            "".join(line for name, line in TOP.items() if name not in keys) + text + "flows: {}\n"
        )
    head = "".join(TOP.values()) + "flows:\n  cart:\n"
    rest = "".join(f"    {line}\n" for line in FLOW.values())
    match kind:
        case "flow":
            return head + indented(text, 4)
        case "steps":
            return f"{head}{rest}    steps:\n{indented(text, 6)}"
        case "when":
            rest = rest.replace(
                "    when: manual\n", f"    audience: lapsed\n    when:\n{indented(text, 6)}"
            )
            return f"{head}{rest}    steps: [send: cart/reminder]\n"
    raise AssertionError(kind)


def keys_of(schema: Any) -> set[str]:
    """Every key that a schema names."""
    if isinstance(schema, list):
        return set().union(*(keys_of(one) for one in schema))
    if not isinstance(schema, dict):
        return set()
    own = set(schema.get("properties", {}))
    return own.union(*(keys_of(one) for one in schema.values()))


@pytest.mark.parametrize("key", sorted(keys_of(json_schema())))
def test_every_key_is_on_the_page_and_in_an_example(key: str) -> None:
    assert f"`{key}`" in PAGE
    assert any(re.search(rf"\b{key}\b: ", text) or f"{key}:\n" in text for _, text in EXAMPLES)


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_every_example_loads(kind: str, text: str) -> None:
    loaded = load_text(whole_file(kind, text))
    assert loaded.book is not None, loaded.findings
    assert {finding.rule for finding in loaded.findings} <= {"unavailable"}


@pytest.mark.parametrize("word", sorted(set(NOT_YET.values())))
def test_what_is_not_available_yet_is_listed(word: str) -> None:
    listed = PAGE.partition("**Not available yet.**")[2].partition("##")[0]
    assert word in listed.lower()


def test_every_row_of_what_is_not_available_yet_is_part_of_the_grammar() -> None:
    text = "".join(whole_file(kind, text) for kind, text in EXAMPLES)
    for word in NOT_YET.values():
        assert word in text or word in PAGE.lower()


def test_the_published_schema_is_current() -> None:
    published = (ROOT / "docs" / "flows.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), (
        "write schema_text() of orchestrator.flowfile.jsonschema to docs/flows.schema.json"
    )


def conforms(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """As much of JSON Schema as the published one uses."""
    if "$ref" in schema:
        return conforms(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema and not any(conforms(value, one, root) for one in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    types: dict[str, Any] = {"string": str, "number": (int, float), "integer": int, "boolean": bool}
    types |= {"null": type(None), "object": dict, "array": list}
    named = schema.get("type", [])
    named = [named] if isinstance(named, str) else named
    if named and not any(isinstance(value, types[name]) for name in named):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, list) and "items" in schema:
        return all(conforms(one, schema["items"], root) for one in value)
    return not isinstance(value, dict) or keys_conform(value, schema, root)


def keys_conform(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    if not set(schema.get("required", [])) <= set(value):
        return False
    for key, one in value.items():
        inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", True))
        if inner is False or (inner is not True and not conforms(one, inner, root)):
            return False
        if not conforms(str(key), schema.get("propertyNames", {}), root):
            return False
    return True


def as_an_editor_sees_it(text: str) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return str(value) if isinstance(value, dt.date) else value

    return plain(YAML(typ="safe", pure=True).load(text))


def test_patterns_are_regular_expressions_of_javascript_too() -> None:
    assert not re.search(r"\(\?[^:=!]", schema_text())


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_the_schema_takes_every_example(kind: str, text: str) -> None:
    schema: dict[str, Any] = json_schema()
    assert conforms(as_an_editor_sees_it(whole_file(kind, text)), schema, schema)


@pytest.mark.parametrize(
    "name", ["flows.yaml", "examples/quickstart.yaml", "tests/unit/sample_flows.yaml"]
)
def test_the_schema_takes_the_files_of_the_project(name: str) -> None:
    schema: dict[str, Any] = json_schema()
    text = (ROOT / name).read_text(encoding="utf-8")
    assert conforms(as_an_editor_sees_it(text), schema, schema)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("exit_when:", "exit_wen:"),
        ("wait: 1 hour", "wayt: 1 hour"),
        ("class: marketing", "class: marketting"),
        ("within: 20 hours", "within: 20"),
        ("  name: Northwind Books\n", ""),
    ],
)
def test_the_schema_refuses_what_an_editor_should_underline(right: str, wrong: str) -> None:
    schema: dict[str, Any] = json_schema()
    text = (ROOT / "tests" / "unit" / "sample_flows.yaml").read_text(encoding="utf-8")
    assert right in text
    assert not conforms(as_an_editor_sees_it(text.replace(right, wrong, 1)), schema, schema)


@pytest.mark.parametrize("name", ["flows.yaml", "examples/quickstart.yaml"])
def test_the_files_of_the_project_can_be_published(name: str) -> None:
    loaded = load_text((ROOT / name).read_text(encoding="utf-8"), name)
    assert loaded.publishable, loaded.findings
