"""Names and fields a template uses that nobody knows, found without rendering it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from jinja2 import Environment, meta, nodes

from orchestrator.domain.expressions.shapes import Many, Record, Shape

OUTSIDE: Final = "what stands outside of the blocks is lost; put it into the block `content`"
_REMARK: Final = re.compile(r"<!--.*?-->", re.DOTALL)
MISCALLED: Final = "a component is called"
"""How a message begins that says so."""
_UNKNOWN: Final = re.compile(r"No (?P<kind>filter|test) named '(?P<name>[^']*)'")
_CALLED: Final = tuple(
    (re.compile(pattern), f"{MISCALLED} {words}")
    for pattern, words in (
        (
            r"macro '(?P<macro>[^']*)' takes no keyword argument '(?P<name>[^']*)'",
            'with a value it does not know: "{macro}" takes no "{name}"',
        ),
        (
            r"macro '(?P<macro>[^']*)' takes not more than (?P<count>\d+) argument",
            'with too many values: "{macro}" takes {count}',
        ),
        (
            r"'jinja2.environment.TemplateModule object' has no attribute '(?P<name>[^']*)'",
            'that its file does not have: "{name}"',
        ),
        (r"parameter '(?P<name>[^']*)' was not provided", 'without its "{name}"'),
    )
)


def unknown_names(
    tree: nodes.Template, known: Collection[str], shapes: Mapping[str, Shape]
) -> Iterator[tuple[int, str]]:
    """Line and advice for each unknown name at the top, and each unknown field below one.

    `shapes` tells the fields of those names that have any; a loop's variable has the shape of
    the list it runs over.
    """
    strange = meta.find_undeclared_variables(tree) - {*known}
    for node in tree.find_all(nodes.Name):
        if node.name in strange:
            strange.discard(node.name)
            yield node.lineno, advice(node.name, known)
    yield from _unknown_fields(tree, shapes)


def mentioned(tree: nodes.Template) -> tuple[set[str], set[str | None]]:
    """Every name that stands in a template, and the templates it draws in (None: not known yet)."""
    names = {node.name for node in tree.find_all(nodes.Name)}
    return names, set(meta.find_referenced_templates(tree))


def advice(name: object, known: Collection[str], kind: str = "name") -> str:
    """What to say of an unknown name: the nearest known one, if any is near."""
    near = get_close_matches(str(name), list(known), n=1)
    return f'unknown {kind} "{name}"' + (f', did you mean "{near[0]}"?' if near else "")


def plainly(message: str, environment: Environment) -> str:
    """What Jinja2 says of a filter or a component, as we say it of a name."""
    if unknown := _UNKNOWN.match(message):
        known = environment.filters if unknown["kind"] == "filter" else environment.tests
        return advice(unknown["name"], known, unknown["kind"])
    for pattern, words in _CALLED:
        if told := pattern.match(message):
            return words.format(**told.groupdict())
    return message


def lost(tree: nodes.Template, blocks: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and advice for what nobody would see of a template that extends one with `blocks`."""
    for node in tree.body if tree.find(nodes.Extends) else ():
        if isinstance(node, nodes.Block) and node.name not in blocks:
            yield node.lineno, advice(node.name, blocks, "block")
        for part in node.nodes if isinstance(node, nodes.Output) else ():
            text = part.data if isinstance(part, nodes.TemplateData) else "{{"
            if words := _REMARK.sub("", text).strip("\ufeff \r\n\t"):
                above = text[: text.find(words.split()[0])].count("\n")
                yield part.lineno + above, OUTSIDE


def _unknown_fields(tree: nodes.Template, shapes: Mapping[str, Shape]) -> Iterator[tuple[int, str]]:
    assigned = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    scope = {name: shape for name, shape in shapes.items() if name not in assigned}
    for loop in tree.find_all(nodes.For):
        if isinstance(loop.target, nodes.Name):
            over = _shape(loop.iter, scope)
            if isinstance(over, Many):
                scope[loop.target.name] = over.of
    paths: list[nodes.Getattr | nodes.Getitem] = [
        *tree.find_all(nodes.Getattr),
        *tree.find_all(nodes.Getitem),
    ]
    for node in paths:
        field, below = _field(node), _shape(node.node, scope)
        if field is not None and isinstance(below, Record) and below.at(field) is None:
            yield node.lineno, advice(field, below.fields)


def _shape(node: nodes.Node, scope: Mapping[str, Shape]) -> Shape | None:
    """The shape of a path, or None for anything that is no path or has no known shape."""
    if isinstance(node, nodes.Filter) and node.name == "rounds" and node.node is not None:
        return _shape(node.node, scope)
    if isinstance(node, nodes.Name):
        return scope.get(node.name)
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        below, field = _shape(node.node, scope), _field(node)
        if isinstance(below, Record) and field is not None:
            return below.at(field)
        if isinstance(below, Many) and field is None:
            return below.of
    return None


def _field(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value
    return None
