"""A flows file under another privacy policy, to see what a change of it does."""

from __future__ import annotations

import json
from collections.abc import Callable

from orchestrator.flowfile.source import Log, Mapping, Node, Scalar, Source
from orchestrator.flowfile.yaml_tree import read_tree


def with_other_policy(text: str, name: str, renamed: Callable[[str], str]) -> str | None:
    """The same file with `brand.privacy.version` renamed; None where it names none."""
    source = Source(name, text)
    node: Node | None = read_tree(source, Log(source)).root
    for key in ("brand", "privacy", "version"):
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Scalar):
        return None
    other = json.dumps(renamed(node.text), ensure_ascii=False)
    return source.text[: node.start] + other + source.text[node.end :]
