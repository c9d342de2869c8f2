"""A flows file as it was before its newest privacy policy, to see what the change does."""

from __future__ import annotations

import json

from orchestrator.flowfile.source import Log, Mapping, Node, Scalar, Source
from orchestrator.flowfile.yaml_tree import read_tree


def with_earlier_policy(text: str, name: str) -> str | None:
    """The same file with another `brand.privacy.version`; None where it names none."""
    source = Source(name, text)
    node: Node | None = read_tree(source, Log(source)).root
    for key in ("brand", "privacy", "version"):
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Scalar):
        return None
    earlier = json.dumps(f"before {node.text}", ensure_ascii=False)
    return source.text[: node.start] + earlier + source.text[node.end :]
