"""A group of keys that begins with a verb: one trigger, or one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.flowfile.shapes import JsonSchema, Shape, nearest, write
from orchestrator.flowfile.source import Entry, Log, Mapping, Node, Scalar, Span, describe, shorten
from orchestrator.flowfile.structures import Fields, Record


@dataclass(frozen=True, slots=True)
class Said:
    """A verb with what was written under it and its companions."""

    verb: str
    fields: Fields
    span: Span


@dataclass(frozen=True, slots=True)
class Verbs(Shape[Said]):
    """Exactly one verb of several, each with companion keys of its own."""

    what: str
    """`step` or `trigger`."""
    records: Callable[[], dict[str, Record]]
    """By verb; late, because steps hold steps."""
    bare: tuple[str, ...] = ()
    """Verbs that may stand alone, without a value."""

    def read(self, node: Node, log: Log) -> Said | None:
        """The verb and its keys."""
        records = self.records()
        if not isinstance(node, Mapping):
            return self._read_bare(node, records, log)
        verb = next((entry.key for entry in node.entries if entry.key.text in records), None)
        if verb is None:
            self._report_no_verb(node, records, log)
            return None
        record = records[verb.text]
        kept = [entry for entry in node.entries if self._belongs(entry, verb, records, log)]
        with log.under(None):
            found = record.read(Mapping(node.start, node.end, tuple(kept)), log)
        return Said(verb.text, found, verb) if found else None

    def split(self, node: Node, log: Log) -> list[Node]:
        """The node, in parts where several verbs ran into one group; each part is logged."""
        if not isinstance(node, Mapping):
            return [node]
        records = self.records()
        parts: list[list[Entry]] = [[]]
        own: set[str] = set()
        for entry in node.entries:
            key = entry.key.text
            if key in records and key not in own:
                if own:
                    self._report_second(entry, log)
                    parts.append([])
                own = {one.name for one in records[key].fields}
            parts[-1].append(entry)
        if len(parts) == 1:
            return [node]
        return [Mapping(part[0].key.start, part[-1].value.end, tuple(part)) for part in parts]

    def _report_second(self, entry: Entry, log: Log) -> None:
        value = shorten(entry.value.text) if isinstance(entry.value, Scalar) else "…"
        message = f'"{entry.key.text}" is a {self.what} of its own and needs a "- " before it'
        log.wrong("key", entry.key, message, f"write - {entry.key.text}: {value}")

    def _belongs(self, entry: Entry, verb: Scalar, records: dict[str, Record], log: Log) -> bool:
        """Whether a key may be judged by the verb's record; those of other verbs are said here."""
        key = entry.key.text
        if key == verb.text or key in {one.name for one in records[verb.text].fields}:
            return True
        owners = [
            other for other, record in records.items() if key in {one.name for one in record.fields}
        ]
        if owners:
            message = f'"{key}" does not go with "{verb.text}"'
            hint = f"it goes with {', '.join(owners)}; check the indentation, or remove it"
            if key in records:
                hint = f"make a list of two: [{{{verb.text}: …}}, {{{key}: …}}]"
            log.wrong("key", entry.key, message, hint)
        return not owners

    def _report_no_verb(self, node: Mapping, records: dict[str, Record], log: Log) -> None:
        for entry in node.entries:
            if entry.key.text in self.bare:
                message = f'"{entry.key.text}" stands alone'
                log.wrong("key", entry.key, message, write(log, entry.key.text))
                return
            hint = nearest(entry.key.text, list(records))
            if hint.startswith("did"):
                log.wrong(
                    "key", entry.key, f'unknown {self.what} "{shorten(entry.key.text)}"', hint
                )
                return
        span: Span = node.entries[0].key if node.entries else Span(node.start, node.start + 1)
        message = f"this is no {self.what}: nothing here says what happens"
        log.wrong("key", span, message, f"write one of {', '.join(records)}")

    def _read_bare(self, node: Node, records: dict[str, Record], log: Log) -> Said | None:
        text = node.text.strip() if isinstance(node, Scalar) else ""
        if text in self.bare:
            log.use(f"{self.what}={text}", node)
            return Said(text, Fields(Mapping(node.start, node.end, ()), {}, {}), node)
        first, _, rest = text.partition(" ")
        span = node if isinstance(node, Scalar) else Span(node.start, node.start + 1)
        message = f"a {self.what} is wanted here, not {describe(node)}"
        verb = first.rstrip(":")
        if verb in records:
            hint = f"write {verb}: {rest.strip() or '…'}"
        elif "." in text and "event" in records:
            hint = write(log, f"{{event: {text}}}")
        elif text:
            guess = nearest(first, [*records, *self.bare])
            hint = guess if guess.startswith("did") else f"write one of {', '.join(records)}"
        else:
            hint = f"write one of {', '.join(dict.fromkeys([*records, *self.bare]))}"
        log.wrong("value", span, message, hint)
        return None

    def schema(self) -> JsonSchema:
        """Any of the verbs."""
        shapes: list[JsonSchema] = [{"enum": list(self.bare)}] if self.bare else []
        for verb, record in self.records().items():
            shape = record.schema()
            required = shape.get("required")
            more = required if isinstance(required, list) else []
            shapes.append({**shape, "required": sorted({verb, *more})})
        return {"anyOf": shapes}
