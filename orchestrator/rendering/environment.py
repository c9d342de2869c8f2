"""The one Jinja2 environment: sandboxed, strict about names, and bounded in work and size.

Templates come from a mapping, because the live version lies in the database. Whoever writes
them is trusted with words, not with the machine: loops, calls and inclusions are counted, sizes
are checked as they grow, and what could allocate without bound (`**`, repetition, padding) is
missing. Every exception of Jinja2, and of a template's own making, becomes `RenderFailed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, time
from decimal import Decimal
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from jinja2 import (
    BaseLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import escape

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.expressions.shapes import Shape
from orchestrator.rendering.inspection import advice, mentioned, unknown_names
from orchestrator.rendering.names import Facts, NoFacts, NoList

if TYPE_CHECKING:
    from types import TracebackType

    from jinja2 import Environment
    from jinja2.runtime import Context

MAX_OUTPUT: Final = 1_000_000
"""Characters a template, or any text made inside it, may grow to."""
MAX_STEPS: Final = 20_000
"""Loop rounds, calls and inclusions of one rendering."""
MAX_SECONDS: Final = 2.0
MAX_RANGE: Final = 1_000
MAX_BITS: Final = 256
MAX_PLACES: Final = 10

T = TypeVar("T")

_FILTERS: Final = frozenset(
    """
    abs capitalize count d default dictsort e escape first float groupby int items last length list
    lower map max min reject rejectattr reverse select selectattr sort string striptags sum title
    trim truncate unique upper urlencode wordcount
    """.split()
)
_TEXT_METHODS: Final = frozenset({"endswith", "lower", "startswith", "strip", "title", "upper"})
_DATE_PARTS: Final = frozenset({"year", "month", "day", "hour", "minute", "weekday", "isoweekday"})


class _Meter:
    """What one rendering may still spend."""

    def __init__(self) -> None:
        self.left = MAX_STEPS
        self.deadline = monotonic() + MAX_SECONDS

    def step(self) -> None:
        self.left -= 1
        if self.left < 0 or (self.left % 64 == 0 and monotonic() > self.deadline):
            raise SecurityError("it loops or calls too much; the data should not need that")


_meter: ContextVar[_Meter | None] = ContextVar("rendering_meter", default=None)


def _step() -> None:
    meter = _meter.get()
    if meter is not None:
        meter.step()


@contextmanager
def metered() -> Iterator[None]:
    """Within it, loops and calls of templates draw on one fresh allowance."""
    token = _meter.set(_Meter())
    try:
        yield
    finally:
        _meter.reset(token)


class _Rounds:
    """An iterable whose every round is counted; none is an empty one."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[Any] | None) -> None:
        self._values: Iterable[Any] = () if values is None else values

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            _step()
            yield value

    def __len__(self) -> int:
        return len(self._values)  # type: ignore[arg-type]  # Jinja2 copes with the TypeError


def _bounded(value: T) -> T:
    limit = MAX_OUTPUT if isinstance(value, str) else MAX_RANGE
    if isinstance(value, (str, list, tuple)) and len(value) > limit:
        raise SecurityError("a text or list made in the template grows too large")
    return value


def _joined(parts: Iterable[str]) -> str:
    chunks: list[str] = []
    size, coming = 0, iter(parts)
    while some := list(islice(coming, 50)):
        size += sum(map(len, some))
        if size > MAX_OUTPUT:
            raise SecurityError(f"the result is larger than {MAX_OUTPUT:,} characters")
        chunks += some
    return "".join(chunks)


def _join(values: Iterable[Any] | None, separator: str = "", attribute: str | None = None) -> str:
    parts = (value if attribute is None else value[attribute] for value in _Rounds(values))
    texts = [escape(part) if hasattr(separator, "__html__") else str(part) for part in parts]
    size = sum(map(len, texts)) + len(separator) * len(texts)
    if size > MAX_OUTPUT:
        raise SecurityError("a joined text grows too large")
    return separator.join(texts)


def _replace(text: str, old: str, new: str) -> str:
    if not old or len(text) + text.count(old) * len(new) > MAX_OUTPUT:
        raise SecurityError("a replacement grows too large, or replaces nothing")
    return text.replace(old, new)


def _round(value: Decimal | float, places: int = 0) -> Decimal:
    if not 0 <= places <= MAX_PLACES:
        raise SecurityError(f"round takes 0 to {MAX_PLACES} places")
    return round(Decimal(str(value)), places)


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"range makes at most {MAX_RANGE} numbers")
    return numbers


def _is_none(value: object) -> bool:
    return type(value) in _NOTHING


class _Rewrite(NodeTransformer):
    """Counts loops, checks what is joined with `~`, and bakes constants in."""

    def __init__(self, baked: Mapping[str, Mapping[str, Any]]) -> None:
        self._baked = baked

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # named after the node
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "rounds")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "bounded")

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.node, nodes.Name) and node.node.ctx == "load":
            constants = self._baked.get(node.node.name, {})
            if node.attr in constants:
                return nodes.Const(constants[node.attr], lineno=node.lineno)
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Loader(BaseLoader):
    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002  # Jinja2's signature
        template: str,
    ) -> tuple[str, None, None]:
        try:
            return self._sources[template], None, None
        except KeyError:
            raise TemplateNotFound(template) from None


class MessageEnvironment(ImmutableSandboxedEnvironment):
    """Sources by name, HTML escaped where asked, `baked` constants compiled into the code.

    Use it through `compiled`, `module` and `rendered`, which raise `RenderFailed` and nothing
    else.
    """

    intercepted_binops = frozenset({"**", "*", "+", "%"})

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        escaping: bool,
        names: Mapping[str, Any] | None = None,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        baked: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(
            loader=_Loader(sources),
            autoescape=escaping,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=-1,
            auto_reload=False,
            finalize=_shown,
            extensions=["jinja2.ext.i18n"],
        )
        self._baked = baked or {}
        self.concat = _joined  # type: ignore[method-assign]
        built_in = {"range": _range, "dict": dict, "namespace": Namespace}
        self.globals = {"_": self.globals["_"], **built_in, **(names or {})}
        own = {"join": _join, "replace": _replace, "round": _round}
        internal = {"rounds": _Rounds, "bounded": _bounded}
        kept = {name: self.filters[name] for name in _FILTERS}
        self.filters = {**kept, **own, **internal, **(filters or {})}
        self.tests["none"] = _is_none
        self.install_null_translations(newstyle=True)  # type: ignore[attr-defined]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Rewrite(self._baked).visit(tree)
        return tree

    def _load_template(self, name: str, globals: Any) -> Template:  # noqa: A002
        _step()
        return super()._load_template(name, globals)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A record answers with its fields alone, none with none, the rest by the sandbox."""
        if isinstance(obj, Facts):
            found = obj.get(attribute, obj)  # no record holds itself
            return self._field(obj, attribute) if found is obj else found
        if obj is None:
            return None
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As `getattr`, for `record["field"]`."""
        if isinstance(obj, Facts):
            return self._field(obj, argument)
        if obj is None:
            return None
        return super().getitem(obj, argument)

    def _field(self, record: Facts, name: Any) -> Any:
        try:
            return record[name]
        except (KeyError, TypeError):
            return (
                None if record.open_ended else self.undefined(hint=advice(name, record), name=name)
            )

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """A short list by type; methods that pad, format or encode are not on it."""
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, date | time):
            return attr in _DATE_PARTS
        inner = LoopContext | Namespace | TemplateModule | TemplateReference | Macro
        return isinstance(obj, inner) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:  # noqa: ARG002  # Jinja2's signature
        """`format` and `format_map` pad to any width, so they are no exception here."""
        return

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers of ordinary size; `+` joins texts and lists within bounds."""
        numeric = _ordinary(left) and _ordinary(right)
        if operator == "+" or (numeric and operator in {"*", "%"}):
            return _bounded(super().call_binop(context, operator, left, right))
        raise SecurityError(f"`{operator}` is only for numbers of ordinary size")

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count the call, then let the sandbox decide."""
        _step()
        return super().call(context, obj, *args, **kwargs)

    def compiled(self, name: str) -> Template:
        """The template by its name; compiled once."""
        with _crossing(name):
            return self.get_template(name)

    def module(self, name: str) -> Mapping[str, Any]:
        """The macros of a template that needs no facts, by their names."""
        with _crossing(name):
            module = self.get_template(name).module
            return {key: value for key, value in vars(module).items() if not key.startswith("_")}

    def rendered(self, template: Template, facts: Mapping[str, Any]) -> str:
        """The whole template with these facts, within one allowance of work and size."""
        with _crossing(str(template.name)), metered():
            return _joined(template.root_render_func(template.new_context(dict(facts))))

    def mentioned(self, name: str) -> frozenset[str] | None:
        """The names in a template and in all it draws in; None if that shows only in rendering."""
        names: set[str] = set()
        seen: set[str] = set()
        waiting: set[str | None] = {name}
        with _crossing(name):
            while waiting:
                if (one := waiting.pop()) is None:
                    return None
                seen.add(one)
                here, others = mentioned(self._tree(one))
                names |= here
                waiting |= others - seen
        return frozenset(names)

    def unknown_names(
        self, name: str, known: Iterable[str], shapes: Mapping[str, Shape]
    ) -> list[RenderFailed]:
        """Each name or field the template uses that is neither given nor built in."""
        with _crossing(name):
            tree = self._tree(name)
        found = unknown_names(tree, {*known, *self.globals, *shapes}, shapes)
        return [RenderFailed(name, line, message) for line, message in found]

    def _tree(self, name: str) -> nodes.Template:
        source, _, _ = self.loader.get_source(self, name)  # type: ignore[union-attr]
        return self.parse(source, name)


_NOTHING: Final = frozenset({type(None), NoFacts, NoList})


def _shown(value: Any) -> Any:
    return "" if type(value) in _NOTHING else value


def _ordinary(value: object) -> bool:
    if isinstance(value, int):
        return value.bit_length() <= MAX_BITS
    return isinstance(value, float | Decimal)


@contextmanager
def _crossing(name: str) -> Iterator[None]:
    """The one place where Jinja2's exceptions, and those a template provokes, become ours."""
    try:
        yield
    except TemplateSyntaxError as error:
        raise RenderFailed(error.name or name, error.lineno, error.message or "") from error
    except TemplateNotFound as error:
        place, line = _place(error.__traceback__, name)
        raise RenderFailed(place, line, f'there is no template "{error.name}"') from error
    except RecursionError as error:
        place, line = _place(error.__traceback__, name)
        raise RenderFailed(place, line, "it includes or calls itself without end") from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        place, line = _place(error.__traceback__, name)
        raise RenderFailed(place, line, str(error) or type(error).__name__) from error


def _place(traceback: TracebackType | None, name: str) -> tuple[str, int | None]:
    """The innermost line of the template that was asked for, else of the one it stumbled in."""
    places: dict[str, int] = {}
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            places[str(template.name)] = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    place = name if name in places or not places else next(reversed(places))
    return place, places.get(place)
