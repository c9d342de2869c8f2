"""Names and fields a template uses that nobody knows, found without rendering it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from jinja2 import meta, nodes

from orchestrator.domain.expressions.shapes import Many, Record, Shape


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


def advice(name: object, known: Collection[str]) -> str:
    """What to say of an unknown name: the nearest known one, if any is near."""
    near = get_close_matches(str(name), list(known), n=1)
    return f'unknown name "{name}"' + (f', did you mean "{near[0]}"?' if near else "")


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
