"""The one Jinja2 environment: sandboxed, strict about names, and bounded in work and size.

Templates come from a mapping, because the live version lies in the database. Whoever writes
them is trusted with words, not with the machine: loops, calls and inclusions are counted, sizes
are checked as they grow, and what could allocate without bound (`**`, repetition, padding) is
missing. Every exception of Jinja2, and of a template's own making, becomes `RenderFailed`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, time
from functools import lru_cache
from gettext import NullTranslations
from typing import TYPE_CHECKING, Any, Final

from jinja2 import (
    BaseLoader,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from markupsafe import Markup

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.expressions.shapes import Shape
from orchestrator.rendering import compiling, limits
from orchestrator.rendering.compiling import NOTHING, PROVOKED, Settling
from orchestrator.rendering.inspection import advice, lost, mentioned, plainly, unknown_names
from orchestrator.rendering.limits import bounded, joined, metered, ordinary, step
from orchestrator.rendering.locales import filled
from orchestrator.rendering.names import Facts

if TYPE_CHECKING:
    from types import TracebackType

    from jinja2 import Environment
    from jinja2.runtime import Context

_FILTERS: Final = frozenset(
    """
    abs capitalize count d default dictsort e escape first float groupby int items last length list
    lower map max min reject rejectattr reverse select selectattr sort string striptags sum title
    trim truncate unique upper urlencode wordcount
    """.split()
)
_DEEPEST: Final = 16
"""Templates that extend each other."""
_TEXT_METHODS: Final = frozenset({"endswith", "lower", "startswith", "strip", "title", "upper"})
_DATE_PARTS: Final = frozenset({"year", "month", "day", "hour", "minute", "weekday", "isoweekday"})


_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "*": operator.mul,
    "%": operator.mod,
}

_JINJAS_OWN: Final = ("_block_vars", "_loop_vars")
"""What compiled code hands to whatever it calls, for those that want its variables."""
_RECORDS: Final = frozenset({Facts, dict})
"""What a template may ask for a field at once; `dict` is what it writes as `{...}` itself."""


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

    def list_templates(self) -> list[str]:
        return sorted(self._sources)


class MessageEnvironment(ImmutableSandboxedEnvironment):
    """Sources by name, HTML escaped where asked, everything constant compiled into the code.

    `names` are constants that templates know, `baked` those known only where they are compiled,
    `settled` is done to a template's own text, all pieces of it at once, before it is compiled,
    and to what `spoken`, the catalogue of a language, says in its place.
    Use it through `compiled`, `module` and `rendered`, which raise `RenderFailed` and nothing
    else.
    """

    intercepted_binops = frozenset({"**", "*", "+", "%"})
    code_generator_class = compiling.Generator

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        escaping: bool,
        names: Mapping[str, Any] | None = None,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        baked: Mapping[str, Mapping[str, Any]] | None = None,
        settled: Callable[[Sequence[str]], Sequence[str]] = list,
        spoken: NullTranslations | None = None,
    ) -> None:
        super().__init__(
            loader=_Loader(sources),
            autoescape=escaping,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=-1,
            auto_reload=False,
            finalize=compiling.finalized,
            extensions=["jinja2.ext.i18n"],
        )
        self._escaping = escaping
        self._settled = settled
        self._constants = {**(names or {}), **(baked or {})}
        self._components: Mapping[str, Macro] = {}
        self._mentioned: dict[str, tuple[set[str], set[str | None]]] = {}
        self._spoken = spoken or NullTranslations()
        self._in_place = lru_cache(maxsize=1024)(lambda text: settled([text])[0])
        self.concat = joined  # type: ignore[method-assign]
        built_in = {"range": limits.numbers, "dict": dict, "namespace": Namespace}
        self.globals = {**self._speech(), **built_in, **(names or {})}
        own = {"join": limits.join, "replace": limits.replace, "round": limits.rounded}
        internal = {"rounds": limits.rounds, "bounded": bounded}
        # Each behind a wrapper that looks whether it has to wait for something.
        kept = {
            name: getattr(self.filters[name], "__wrapped__", self.filters[name])
            for name in _FILTERS
        }
        self.filters = {**kept, **own, **internal, **(filters or {})}
        self.tests["none"] = _is_none
        self.policies["ext.i18n.trimmed"] = True
        self.newstyle_gettext = True

    def use(self, name: str) -> None:
        """Make the macros of a template of HTML, which needs no facts, known to all others."""
        with _crossing(name, self):
            module = self.get_template(name).module
        macros = {key: value for key, value in vars(module).items() if isinstance(value, Macro)}
        self.globals.update(macros)
        self._components = macros
        for key, macro in macros.items():
            self.filters[compiling.as_filter(key)] = compiling.direct(macro)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        settled = {"_": self._translated, "gettext": self._translated}
        evaluation, spoken = nodes.EvalContext(self, name), self._spoken.gettext
        Settling(evaluation, self._constants, settled, self._components, spoken).visit(tree)
        own = list(tree.find_all(nodes.TemplateData))
        for piece, text in zip(own, self._settled([piece.data for piece in own]), strict=True):
            piece.data = text
        return tree

    def _speech(self) -> dict[str, Callable[..., str]]:
        """What templates call to speak the language of this environment (`i18n`, new style)."""
        say = self._spoken

        def plural(one: str, many: str, number: int, /, **values: Any) -> str:
            return self._said(say.ngettext(one, many, number), {"num": number, **values})

        def there(place: str, text: str, /, **values: Any) -> str:
            return self._said(say.pgettext(place, text), values)

        def plural_there(place: str, one: str, many: str, number: int, /, **values: Any) -> str:
            return self._said(say.npgettext(place, one, many, number), {"num": number, **values})

        return {
            "_": self._translated,
            "gettext": self._translated,
            "ngettext": plural,
            "pgettext": there,
            "npgettext": plural_there,
        }

    def _translated(self, text: str, /, **values: Any) -> str:
        return self._said(self._spoken.gettext(text) if text else "", values)

    def _said(self, text: str, values: Mapping[str, Any]) -> str:
        if not self._escaping:
            return filled(text, values)
        return Markup(filled(self._in_place(text), _Escaped(values)))  # noqa: S704  # the author's

    def _load_template(self, name: str, globals: Any) -> Template:  # noqa: A002
        step()
        return super()._load_template(name, globals)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A record answers with its fields alone, none with none, the rest by the sandbox."""
        if type(obj) in _RECORDS:
            try:
                return obj[attribute]
            except KeyError:
                pass
        if isinstance(obj, Facts):
            return self._field(obj, attribute)
        return None if obj is None else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As `getattr`, for `record["field"]`."""
        if isinstance(obj, Facts):
            return self._field(obj, argument)
        return None if obj is None else super().getitem(obj, argument)

    def _field(self, record: Facts, name: Any) -> Any:
        try:
            return record[name]
        except (KeyError, TypeError):
            if record.open_ended:
                return None
            return self.undefined(hint=advice(name, record), name=name)

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

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Arithmetic on numbers of ordinary size; `+` joins texts and lists within bounds."""
        if operator == "+":
            return bounded(left + right)
        if operator in _ARITHMETIC and ordinary(left) and ordinary(right):
            return _ARITHMETIC[operator](left, right)
        raise SecurityError(f"`{operator}` is only for numbers of ordinary size")

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count the call, then let the sandbox decide; a macro has nothing to decide about."""
        step()
        if type(obj) is not Macro:
            return super().call(context, obj, *args, **kwargs)
        for inner in _JINJAS_OWN:
            kwargs.pop(inner, None)
        return obj(context.eval_ctx, *args, **kwargs)

    def compiled(self, name: str) -> Template:
        """The template by its name; compiled once."""
        with _crossing(name, self):
            return self.get_template(name)

    def rendered(self, template: Template, facts: Mapping[str, Any]) -> str:
        """The whole template with these facts, within one allowance of work and size."""
        with _crossing(str(template.name), self), metered():
            known = {**self.globals, **facts}
            blocks = template.blocks
            context = self.context_class(self, known, template.name, blocks)
            return joined(template.root_render_func(context))

    def mentioned(self, name: str) -> frozenset[str] | None:
        """The names in a template and in all it draws in; None if that shows only in rendering."""
        names: set[str] = set()
        seen: set[str] = set()
        waiting: set[str | None] = {name}
        with _crossing(name, self):
            while waiting:
                if (one := waiting.pop()) is None:
                    return None
                seen.add(one)
                if one not in self._mentioned:
                    self._mentioned[one] = mentioned(self._tree(one))
                here, others = self._mentioned[one]
                names |= here
                waiting |= others - seen
        return frozenset(names)

    def unknown_names(
        self, name: str, known: Iterable[str], shapes: Mapping[str, Shape]
    ) -> list[RenderFailed]:
        """Each name or field the template uses that is neither given nor built in."""
        with _crossing(name, self):
            tree = self._tree(name)
        found = unknown_names(tree, {*known, *self.globals, *shapes}, shapes)
        return [RenderFailed(name, line, message) for line, message in found]

    def lost(self, name: str, blocks: Iterable[str]) -> list[RenderFailed]:
        """What nobody would see of a template that extends another, which has these `blocks`."""
        with _crossing(name, self):
            found = lost(self._tree(name), {*blocks})
        return [RenderFailed(name, line, message) for line, message in found]

    def blocks_around(self, name: str) -> set[str] | None:
        """The blocks of what a template extends; None if that shows only in rendering."""
        blocks: set[str] = set()
        with _crossing(name, self):
            tree = self._tree(name)
            for _ in range(_DEEPEST):
                if (above := next(tree.find_all(nodes.Extends), None)) is None:
                    return blocks
                if not isinstance(above.template, nodes.Const):
                    return None
                if (wanted := above.template.value) not in (known := self.list_templates()):
                    raise RenderFailed(name, above.lineno, advice(wanted, known, "template"))
                tree = self._tree(wanted)
                blocks |= {block.name for block in tree.find_all(nodes.Block)}
        return None

    def _tree(self, name: str) -> nodes.Template:
        source, _, _ = self.loader.get_source(self, name)  # type: ignore[union-attr]
        return self.parse(source, name)


class _Escaped(dict[str, Any]):
    """Values as they are printed into HTML."""

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        return compiling.shown(super().__getitem__(name))


def _is_none(value: object) -> bool:
    return type(value) in NOTHING


@contextmanager
def _crossing(name: str, environment: Environment) -> Iterator[None]:
    """The one place where Jinja2's exceptions, and those a template provokes, become ours."""
    try:
        yield
    except TemplateSyntaxError as error:
        message = plainly(error.message or "", environment)
        raise RenderFailed(error.name or name, error.lineno, message) from error
    except TemplateNotFound as error:
        place, line = _place(error.__traceback__, name)
        message = advice(error.name, environment.list_templates(), "template")
        raise RenderFailed(place, line, message) from error
    except RecursionError as error:
        place, line = _place(error.__traceback__, name)
        raise RenderFailed(place, line, "it includes or calls itself without end") from error
    except PROVOKED as error:
        place, line = _place(error.__traceback__, name)
        message = plainly(str(error), environment) or type(error).__name__
        raise RenderFailed(place, line, message) from error


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
