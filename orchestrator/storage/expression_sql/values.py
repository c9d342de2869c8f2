"""Values of an expression as SQL: NULL when missing, or of another kind than asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from sqlalchemy import case, func, select, type_coerce

from orchestrator.domain.expressions import Expression, Facts, Kind, Many, Value, text_of
from orchestrator.domain.expressions.audience import is_fixed
from orchestrator.domain.expressions.evaluation import value_of
from orchestrator.domain.expressions.nodes import (
    Arithmetic,
    Choice,
    CountEvents,
    Default,
    Filter,
    Item,
    Join,
    Negative,
    Node,
    Path,
    shape_of,
)
from orchestrator.domain.expressions.values import read
from orchestrator.domain.expressions.wording import written
from orchestrator.storage.expression_sql.contact_fields import column, json_place
from orchestrator.storage.expression_sql.counting import counted, field_equals
from orchestrator.storage.expression_sql.dialects import (
    TYPES,
    Database,
    Span,
    Sql,
    fixed,
    is_of,
    nothing,
)
from orchestrator.storage.tables import contact, event

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass
class Values(ABC):
    """Compiles values; conditions come from the class that completes it."""

    database: Database
    now: datetime
    segments: Mapping[str, Expression]
    tables: Mapping[str, Mapping[str, Value]]
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        self.facts = Facts(now=self.now, names={"tables": self.tables})

    @abstractmethod
    def holds(self, node: Node) -> Sql:
        """Whether a node used as a condition holds; never NULL."""

    @abstractmethod
    def present(self, node: Node) -> Sql:
        """Whether a node has a value; never NULL."""

    def read(self, node: Node, kind: Kind) -> Sql:
        """The value of a node as a kind."""
        if is_fixed(node):
            return self._fixed(self.fixed_value(node), kind)
        shape = shape_of(node)
        if shape not in {kind, Kind.ANYTHING}:
            return (
                self._read_part(node, kind)
                if isinstance(node, (Choice, Default))
                else nothing(kind)
            )
        if kind is Kind.TRUTH and not isinstance(node, (Path, Choice, Default, Item)):
            return self.holds(node)
        return self._read_part(node, kind)

    def _read_part(self, node: Node, kind: Kind) -> Sql:
        match node:
            case Path():
                return self._field(node, kind)
            case Item():
                return self.entry(node, partial(self._fixed, kind=kind))
            case Arithmetic():
                return self._calculated(node, kind)
            case Negative():
                zero = fixed(Decimal(0), Kind.NUMBER)
                return self.database.calculate("-", zero, self.read(node.operand, kind))
            case Join():
                parts = [self._joined(part) for part in node.parts]
                return parts[0] if len(parts) == 1 else _concatenated(parts)
            case Choice():
                return self.either(node, partial(self.read, kind=kind))
            case Default():
                taken, fallback = self.read(node.operand, kind), self.read(node.fallback, kind)
                return case((self.present(node.operand), taken), else_=fallback)
            case Filter(name="length"):
                return self._length(node.operand)
            case CountEvents():
                return self._count(node)
            case _:
                msg = f"{written(node)} cannot be asked in SQL"
                raise ValueError(msg)

    def fixed_value(self, node: Node) -> Value:
        """The value of a node that is the same for everybody."""
        return value_of(node, self.facts)

    @staticmethod
    def _fixed(value: Value, kind: Kind) -> Sql:
        value = read(value, kind) if is_of(value, kind) else None
        return nothing(kind) if value is None else fixed(value, kind)

    def place(self, node: Node) -> tuple[Sql, Sequence[str]]:
        """The JSON column and keys of a field."""
        place = json_place(node.parts[1:]) if isinstance(node, Path) else None
        if place is None:
            msg = f"{written(node)} is not kept as JSON"
            raise ValueError(msg)
        return place

    def _field(self, node: Path, kind: Kind) -> Sql:
        place = json_place(node.parts[1:])
        if place is None:
            return column(node.parts[1:], self.database, self.now)
        return self.database.read(*place, kind, declared=node.shape is kind)

    def either(self, node: Choice, compiled: Callable[[Node], Sql]) -> Sql:
        """The branch that a choice takes."""
        condition = self.holds(node.condition)
        return case((condition, compiled(node.then)), else_=compiled(node.otherwise))

    def entry(self, node: Item, compiled: Callable[[Value], Sql]) -> Sql:
        """An entry of a table, by a key that differs from person to person."""
        entries = self.fixed_value(node.target)
        key = self._joined(node.key)
        whens = [
            (key == name, compiled(read(value, node.shape)))
            for name, value in (entries.items() if isinstance(entries, Mapping) else ())
        ]
        missing = compiled(None)
        return case(*whens, else_=missing) if whens else missing

    def _joined(self, node: Node) -> Sql:
        """A text or number as text."""
        if is_fixed(node):
            return self._fixed(text_of(self.fixed_value(node)), Kind.TEXT)
        shape = shape_of(node)
        match node:
            case Choice():
                return self.either(node, self._joined)
            case Default():
                taken, fallback = self._joined(node.operand), self._joined(node.fallback)
                return case((self.present(node.operand), taken), else_=fallback)
            case Path() if shape is Kind.ANYTHING:
                return self.database.joined(*self.place(node))
            case Item():
                return self.entry(node, lambda value: self._fixed(text_of(value), Kind.TEXT))
            case _ if shape is Kind.TEXT:
                return self.read(node, Kind.TEXT)
            case _:
                return self.database.number_text(self.read(node, Kind.NUMBER))

    def _calculated(self, node: Arithmetic, kind: Kind) -> Sql:
        if kind is Kind.NUMBER:
            left, right = self.read(node.left, kind), self.read(node.right, kind)
            return self.database.calculate(node.sign, left, right)
        if kind is Kind.TIME:
            forward = shape_of(node.left) is not Kind.DURATION
            moment, length = (node.left, node.right) if forward else (node.right, node.left)
            shift = self.fixed_value(length)
            return self._shifted(self.read(moment, kind), shift, back=node.sign == "-")
        if kind is Kind.DURATION and shape_of(node.left) is Kind.TIME:
            later, earlier = self.read(node.left, Kind.TIME), self.read(node.right, Kind.TIME)
            return type_coerce(later - earlier, Span())
        return nothing(kind)

    @staticmethod
    def _shifted(moment: Sql, shift: Value, *, back: bool) -> Sql:
        """A time moved by a fixed length, NULL outside the years 1 to 9999."""
        if not isinstance(shift, timedelta):
            return nothing(Kind.TIME)
        length = -shift if back else shift
        first = _EARLIEST - length if length < timedelta() else _EARLIEST
        last = _LATEST - length if length > timedelta() else _LATEST
        moved = _plus(moment, length)
        return case((moment.between(_time(first), _time(last)), moved))

    def _length(self, node: Node) -> Sql:
        shape = shape_of(node)
        if isinstance(node, Path) and (isinstance(shape, Many) or shape is Kind.ANYTHING):
            place, keys = self.place(node)
            return self.database.length(place, keys, many=isinstance(shape, Many))
        return func.char_length(self.read(node, Kind.TEXT))

    def _count(self, node: CountEvents) -> Sql:
        """The contact's events of a type in `(now - window, now]`."""
        window = self.fixed_value(node.window)
        if not isinstance(window, timedelta):
            return nothing(Kind.NUMBER)
        fields = [self._field_equals(name, value) for name, value in node.fields]
        conditions = counted(node.type, window, fields, self.now)
        events = select(func.count()).where(event.c.contact_id == contact.c.id, *conditions)
        return events.correlate(contact).scalar_subquery()

    def _field_equals(self, name: str, value: Node) -> Sql:
        shape = shape_of(value)
        kind = shape if isinstance(shape, Kind) else Kind.TEXT
        return field_equals(self.database, name, self.read(value, kind), kind)


def _time(moment: datetime) -> Sql:
    return fixed(moment, Kind.TIME)


def _plus(moment: Sql, length: timedelta) -> Sql:
    return type_coerce(type_coerce(moment, Span()) + fixed(length, Kind.DURATION), TYPES[Kind.TIME])


def _concatenated(parts: list[Sql]) -> Sql:
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + part
    return joined
