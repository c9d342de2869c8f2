"""What is settled when a template is compiled, so that a message only fills in its own facts.

Constant texts and calls (`_("Total")`, `theme.accent`, `heading("Hello")`) become part of the
template's own text. What remains costs little: loops pay for their rounds at once, components
are called without a detour, and a printed value is escaped in one call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import markupsafe
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, optimizeconst
from jinja2.nodes import EvalContext, Impossible, args_as_const
from jinja2.runtime import Macro, markup_join
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from orchestrator.rendering.limits import step
from orchestrator.rendering.locales import pieces, placeholders
from orchestrator.rendering.names import Facts, NoFacts, NoList

if TYPE_CHECKING:
    from jinja2.compiler import Frame

PROVOKED: Final = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError)
"""What the code of a template may raise."""

NOTHING: Final = frozenset({type(None), NoFacts, NoList})
_SCALARS: Final = frozenset({str, int, bool, Markup, type(None)})
"""What can stand in compiled code."""

_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates (Unicode annex 9); the joiners and marks are spelling."""
_straight: Callable[[str], str] = lru_cache(maxsize=1024)(partial(_TURNING.sub, ""))

# `escape` wraps each text in `Markup`, which costs ten times the escaping and is not needed here.
_quick_escape: Callable[[str], str] = getattr(markupsafe, "_escape_inner", escape)
_as_markup: Callable[[str], Markup] = partial(str.__new__, Markup)


def shown(value: Any) -> str:
    """A printed value in HTML: escaped unless it is markup; none is empty.

    A name that turns the direction of what follows (U+202E and its like) would change how the
    words after it are read, so it is shown without.
    """
    kind = type(value)
    if kind is str:
        return _quick_escape(value if value.isascii() else _straight(value))
    if kind is Markup:
        return value  # type: ignore[no-any-return]
    return "" if kind in NOTHING else escape(value)


def finalized(value: Any) -> Any:
    """A printed value where nothing is escaped; none is empty."""
    return "" if type(value) in NOTHING else value


def concatenated(values: tuple[Any, ...]) -> str:
    """What `~` makes in HTML: texts side by side, markup if one of them is."""
    for value in values:
        if type(value) is not str:
            return markup_join(values)
    return "".join(values)


class Generator(CodeGenerator):
    """Jinja2's, but for what HTML templates do most: print values, and fields of known facts.

    `{{ event.total }}` calls `shown`, and the sandbox only where there is no such field.
    """

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802  # named after the node
        names = ", ".join(one.__name__ for one in (shown, concatenated, Facts))
        self.writeline(f"from {__name__} import {names}")
        super().visit_Template(node, frame)

    @optimizeconst
    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802
        of, found = self.temporary_identifier(), self.temporary_identifier()
        self.write(f"({found} if type({of} := ")
        self.visit(node.node, frame)
        self.write(f") is Facts and ({found} := {of}.get({node.attr!r}, missing)) is not missing ")
        self.write(f"else environment.getattr({of}, {node.attr!r}))")

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        if not _plainly_escaped(frame):
            super().visit_Concat(node, frame)
            return
        self.write("concatenated((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if isinstance(node, nodes.TemplateData) or not _plainly_escaped(frame):
            return super()._output_child_to_const(node, frame, finalize)
        return shown(node.as_const(frame.eval_ctx))

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if _plainly_escaped(frame):
            self.write("shown(")
        else:
            super()._output_child_pre(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if _plainly_escaped(frame):
            self.write(")")
        else:
            super()._output_child_post(node, frame, finalize)


def _plainly_escaped(frame: Frame) -> bool:
    return bool(frame.eval_ctx.autoescape) and not frame.eval_ctx.volatile


class Settling(NodeTransformer):
    """Counts loops, checks what is joined with `~`, and puts constants in.

    `constants` are values by name, `settled` functions whose result depends on their arguments
    alone, `components` such functions that are also called directly where arguments differ by
    message. A name that the template uses for something of its own is none of these.
    `translated` gives what a text says in the language, with its placeholders.
    """

    def __init__(
        self,
        evaluation: EvalContext,
        constants: Mapping[str, Any],
        settled: Mapping[str, Callable[..., Any]],
        components: Mapping[str, Macro],
        translated: Callable[[str], str],
    ) -> None:
        self._translated = translated
        self._evaluation = evaluation
        self._constants = constants
        self._settled: Mapping[str, Callable[..., Any]] = {**components, **settled}
        self._components = components
        self._own: frozenset[str] = frozenset()

    def visit_Template(self, node: nodes.Template) -> nodes.Node:  # noqa: N802  # named after the node
        self._own = frozenset(_bound(node))
        return self.generic_visit(node)

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802
        node.nodes = [part for one in node.nodes for part in self._in_words(one)]
        return self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "rounds")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "bounded")

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        return self._constant(node)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        settled = self._constant(node)
        return self.generic_visit(node) if settled is node else settled

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        self.generic_visit(node.call)  # it stays a call: what stands in the block is an argument
        node.body = [self.visit(one) for one in node.body]
        node.defaults = [self.visit(one) for one in node.defaults]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        name = node.node.name if isinstance(node.node, nodes.Name) else None
        if name is None or name in self._own or name not in self._settled:
            return node
        try:
            args, kwargs = args_as_const(node, self._evaluation)
            value = self._settled[name](*args, **kwargs)
        except Impossible:
            return self._direct(node, name)
        except PROVOKED:
            return node  # rendering will tell
        return nodes.Const(value, lineno=node.lineno, environment=node.environment)

    def _in_words(self, node: nodes.Expr) -> Iterator[nodes.Expr]:
        """A printed translation as text of the template, with the values between its words."""
        text = self._text_of(node)
        if text is None or not isinstance(node, nodes.Call):
            yield node
            return
        given: dict[str, nodes.Expr] = {pair.key: pair.value for pair in node.kwargs}
        spoken = self._translated(text)
        for name in placeholders(spoken) - given.keys():
            raise TemplateSyntaxError(f'"{text}" is told no "{name}"', node.lineno)
        where = {"lineno": node.lineno, "environment": node.environment}
        for words, value in pieces(spoken):
            if words:
                yield nodes.TemplateData(words, **where)
            if value is not None:
                yield given[value]

    def _text_of(self, node: nodes.Node) -> str | None:
        """What a call of `_` or `gettext` has translated, if the template says it in full."""
        if not isinstance(node, nodes.Call) or node.dyn_args or node.dyn_kwargs:
            return None
        name = node.node.name if isinstance(node.node, nodes.Name) else None
        if name not in _SPOKEN or name in self._own or len(node.args) != 1:
            return None
        text = node.args[0]
        return text.value if isinstance(text, nodes.Const) and text.value else None

    def _direct(self, node: nodes.Call, name: str) -> nodes.Node:
        """A component as a filter of its arguments, which Jinja2 calls without a detour."""
        if name not in self._components or node.dyn_args or node.dyn_kwargs:
            return node
        where = {"lineno": node.lineno, "environment": node.environment}
        names = self._components[name].arguments
        given = dict(zip(names, node.args, strict=False))
        given |= {pair.key: pair.value for pair in node.kwargs}
        fits = len(given) == len(node.args) + len(node.kwargs) and given.keys() <= {*names}
        if not fits or not names:
            return node  # rendering will tell
        first, *others = [given.get(one) or nodes.Const(missing, **where) for one in names]
        return nodes.Filter(first, as_filter(name), others, [], None, None, **where)

    def _constant(self, node: nodes.Name | nodes.Getattr) -> nodes.Node:
        value = self._value(node)
        if type(value) not in _SCALARS:
            return node
        return nodes.Const(value, lineno=node.lineno, environment=node.environment)

    def _value(self, node: nodes.Node) -> Any:
        """The value of a path of names; a mapping or an object of our own if it is no constant."""
        if isinstance(node, nodes.Name) and node.ctx == "load" and node.name not in self._own:
            return self._constants.get(node.name, _UNKNOWN)
        if isinstance(node, nodes.Getattr):
            below = self._value(node.node)
            return below.get(node.attr, _UNKNOWN) if isinstance(below, Mapping) else _UNKNOWN
        return _UNKNOWN


_UNKNOWN: Final = object()
_SPOKEN: Final = frozenset({"_", "gettext"})


def as_filter(component: str) -> str:
    """The name under which a component is a filter; no template can write it."""
    return f"component {component}"


def direct(macro: Macro) -> Callable[..., Markup]:
    """A component that takes all its arguments in their order, `missing` for those not given.

    It spares what Jinja2 does to sort out arguments, which is known when a template is compiled.
    Each call counts like any other.
    """
    render = macro._func  # noqa: SLF001  # what Jinja2's own call ends in
    unsaid: list[Any] = []
    if macro.caller and not macro.explicit_caller:
        unsaid.append(StrictUndefined("No caller defined", name="caller"))
    if macro.catch_kwargs:
        unsaid.append({})
    if macro.catch_varargs:
        unsaid.append(())

    def component(*arguments: Any) -> Markup:
        step()
        return _as_markup(render(*arguments, *unsaid))

    return component


def _bound(tree: nodes.Template) -> Iterator[str]:
    """Every name to which the template gives a meaning of its own."""
    for name in tree.find_all(nodes.Name):
        if name.ctx != "load":
            yield name.name
    for macro in tree.find_all(nodes.Macro):
        yield macro.name
    for whole in tree.find_all(nodes.Import):
        yield whole.target
    for some in tree.find_all(nodes.FromImport):
        for one in some.names:
            yield one if isinstance(one, str) else one[1]


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(
        node, name, [], [], None, None, lineno=node.lineno, environment=node.environment
    )
