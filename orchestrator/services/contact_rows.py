"""A row of a contact file as a person with their consent, or what is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from orchestrator.domain.consent import (
    LAPSING,
    LegalBasis,
    canonical,
    jurisdiction,
    method_name,
    refusal_of_method,
)
from orchestrator.domain.contacts import normalise_email
from orchestrator.domain.events import ContactFields
from orchestrator.domain.flows import AttributeType, Channel
from orchestrator.ports import PhoneNumbers

CONSENT_COLUMNS: Final = {f"consent_{channel.value}": channel for channel in Channel}
COLUMNS: Final = (
    *("id", "email", "phone", "first_name", "last_name", "locale", "timezone", "country", "tags"),
    *CONSENT_COLUMNS,
    *("consent_source", "consent_method", "consent_at", "consent_wording", "consent_locale"),
    *("consent_basis", "consent_ip", "consent_user_agent", "consent_agent"),
)
"""The columns with a meaning of their own; others are declared attributes."""
LONGEST_CELL: Final = 10 * 1024
"""Bytes of UTF-8."""
LONGEST_METHOD: Final = 64
_YES: Final = frozenset({"yes", "y", "true", "1", "x", "all"})
_NOTHING: Final = frozenset({"", "no", "n", "false", "0", "unknown", "none", "null"})
_WITHDRAWN: Final = frozenset({"unsubscribed", "withdrawn", "opted_out", "opt_out"})
_TRUE: Final = frozenset({"yes", "y", "true", "1"})
_FALSE: Final = frozenset({"no", "n", "false", "0"})
_LIST: Final = re.compile(r"[\s,;|+]+")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_LARGEST: Final = 2**53
_EXACT_DIGITS: Final = 15  # of a binary floating-point number
_BASES: Final = tuple(basis.value for basis in LegalBasis if basis is not LegalBasis.OBJECTION)


@dataclass(frozen=True, slots=True)
class RowDefaults:
    """What the command line says of every row; a column of the same meaning wins."""

    source: str | None = None
    method: str | None = None
    wording: str | None = None
    given_at: datetime | None = None
    region: str | None = None
    """ISO 3166 code of the country of telephone numbers written without one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a row says of one channel: topics asked for, or that the person has left."""

    channel: Channel
    topics: tuple[str, ...]
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A row that can be imported. `key` is the same for the same words, wherever they stand."""

    line: int
    key: str
    person: ContactFields
    tags: tuple[str, ...]
    answers: tuple[Answer, ...]
    source: str
    method: str
    basis: LegalBasis
    given_at: datetime | None
    evidence: Mapping[str, str]
    given: Mapping[str, str]
    """Addresses as they were written."""


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with a row, for the person who mends it."""

    line: int
    message: str
    cells: tuple[str, ...] = ()


class _Wrong(ValueError):
    """A cell that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the rows of one file."""

    header: Sequence[str]
    defaults: RowDefaults
    topics: Collection[str]
    attributes: Mapping[str, AttributeType]
    phones: PhoneNumbers

    def read(self, line: int, cells: Sequence[str]) -> ContactRow | RowError:
        """The row, or everything that is wrong with it in one message."""
        given = {
            name: text
            for name, cell in zip(self.header, cells, strict=True)
            if name and (text := cell.strip())
        }
        wrong: list[str] = []
        person = self._person(given, wrong)
        answers = self._answers(given, wrong)
        basis, given_at = self._basis(given, wrong), self._given_at(given, wrong)
        source = given.get("consent_source") or self.defaults.source or ""
        method = method_name(given.get("consent_method") or self.defaults.method or "")
        if any(not answer.withdrawn for answer in answers):
            wrong += _unproven(person, source, method)
            if basis in LAPSING and given_at is None:
                wrong.append(f"consent_at: needed, because {basis} lapses after a time")
        if wrong:
            return RowError(line, "; ".join(wrong), tuple(cells))
        wording = given.get("consent_wording") or self.defaults.wording
        return ContactRow(
            line=line,
            key=_key(given, [source, method, wording, str(given_at)]),
            person=person,
            tags=tuple(_words(given.get("tags", ""))),
            answers=answers,
            source=source,
            method=method,
            basis=basis,
            given_at=given_at,
            evidence=_evidence(given, wording),
            given={name: given[name] for name in ("email", "phone") if name in given},
        )

    def _person(self, given: Mapping[str, str], wrong: list[str]) -> ContactFields:
        wrong += [f"{name}: longer than 10 KB" for name, text in given.items() if _long(text)]
        if not any(name in given for name in ("id", "email", "phone")):
            wrong.append("nobody: an email, a phone or an id is needed")
        email = normalise_email(given["email"]) if "email" in given else None
        if "email" in given and email is None:
            wrong.append(f'email: "{given["email"]}" is no address')
        return ContactFields(
            id=given.get("id"),
            email=email,
            phone=self._phone(given, wrong),
            first_name=given.get("first_name"),
            last_name=given.get("last_name"),
            locale=_matching(given, "locale", _LOCALE, "a language tag like fi or pt-BR", wrong),
            timezone=_timezone(given, wrong),
            country=(
                _matching(given, "country", _COUNTRY, "two letters like FI", wrong) or ""
            ).upper()
            or None,
            attributes=self._attributes(given, wrong),
        )

    def _phone(self, given: Mapping[str, str], wrong: list[str]) -> str | None:
        if "phone" not in given:
            return None
        region = given.get("country") or self.defaults.region
        number = self.phones(given["phone"], region)
        if number is None:
            text = f'phone: "{given["phone"]}" is no number that takes messages'
            hint = "" if region or given["phone"].startswith("+") else " (--country FI reads 040…)"
            wrong.append(text + hint)
        return number

    def _attributes(self, given: Mapping[str, str], wrong: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, kind in self.attributes.items():
            if name not in given or name in COLUMNS:
                continue
            try:
                found[name] = attribute_value(given[name], kind)
            except _Wrong as error:
                wrong.append(f"{name}: {error}")
        return found

    def _answers(self, given: Mapping[str, str], wrong: list[str]) -> tuple[Answer, ...]:
        answers = []
        for column, channel in CONSENT_COLUMNS.items():
            try:
                answer = self._answer(given.get(column, ""), channel)
            except _Wrong as error:
                wrong.append(f"{column}: {error}")
                continue
            if answer is None:
                continue
            answers.append(answer)
            address = "email" if channel is Channel.EMAIL else "phone"
            if not answer.withdrawn and address not in given:
                wrong.append(f"{column}: the row has no {address}")
        return tuple(answers)

    def _answer(self, text: str, channel: Channel) -> Answer | None:
        word = text.casefold()
        if word in _NOTHING:
            return None
        if method_name(word) in _WITHDRAWN:
            return Answer(channel, (), withdrawn=True)
        if word in _YES:
            return Answer(channel, tuple(self.topics))
        topics = _words(text)
        for topic in topics:
            if topic not in self.topics:
                near = get_close_matches(topic, self.topics, 1)
                hint = f'did you mean "{near[0]}"?' if near else "write yes, no or topics"
                raise _Wrong(f'"{topic}" is no topic of the flows file: {hint}')
        return Answer(channel, tuple(topics))

    def _basis(self, given: Mapping[str, str], wrong: list[str]) -> LegalBasis:
        word = method_name(given.get("consent_basis", LegalBasis.CONSENT.value))
        if word in _BASES:
            return LegalBasis(word)
        wrong.append(f'consent_basis: "{word}" is none of {", ".join(_BASES)}')
        return LegalBasis.CONSENT

    def _given_at(self, given: Mapping[str, str], wrong: list[str]) -> datetime | None:
        if "consent_at" not in given:
            return self.defaults.given_at
        moment = read_moment(given["consent_at"])
        if moment is None:
            wrong.append(f'consent_at: "{given["consent_at"]}" is no date like 2026-03-01')
        return moment


def _unproven(person: ContactFields, source: str, method: str) -> list[str]:
    """Why the row's consent could not be proven."""
    wrong = []
    if not source:
        wrong.append("consent_source: empty, and there is no --source")
    if not method:
        wrong.append("consent_method: empty, and there is no --method")
    elif len(method) > LONGEST_METHOD:
        wrong.append(f"consent_method: longer than {LONGEST_METHOD} characters")
    elif refusal := refusal_of_method(method, jurisdiction(person.country, person.phone)[0]):
        wrong.append(refusal)
    return wrong


def attribute_value(text: str, kind: AttributeType) -> Any:
    """A declared attribute as it is stored. Raises ValueError with the reason."""
    match kind:
        case AttributeType.TEXT:
            return text
        case AttributeType.NUMBER:
            return _number(text)
        case AttributeType.BOOLEAN:
            return _truth(text)
        case AttributeType.DATE:
            return _date(text).isoformat()
        case AttributeType.TIME:
            moment = read_moment(text)
            if moment is None:
                raise _Wrong(f'"{text}" is no time like 2026-03-01 10:00')
            return moment.isoformat()
        case AttributeType.LIST:
            return [part for part in (one.strip() for one in re.split("[,;|]", text)) if part]


def _number(text: str) -> int | float:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Wrong(f'"{text}" is no number like 12 or 12.50') from None
    if not number.is_finite() or abs(number) > _LARGEST:
        raise _Wrong(f'"{text}" is too large a number')
    if number == number.to_integral_value():
        return int(number)
    if len(number.as_tuple().digits) > _EXACT_DIGITS:
        raise _Wrong(f'"{text}" has more than {_EXACT_DIGITS} digits')
    return float(number)


def _truth(text: str) -> bool:
    if text.casefold() in _TRUE | _FALSE:
        return text.casefold() in _TRUE
    raise _Wrong(f'"{text}" is neither yes nor no')


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Wrong(f'"{text}" is no date like 1987-04-30') from None


def read_moment(text: str) -> datetime | None:
    """A date or time (ISO 8601); without a zone it is UTC. None if it is neither."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in _LIST.split(text) if word))


def _long(text: str) -> bool:
    return len(text) > LONGEST_CELL // 4 and len(text.encode()) > LONGEST_CELL


def _matching(
    given: Mapping[str, str], name: str, pattern: re.Pattern[str], wanted: str, wrong: list[str]
) -> str | None:
    text = given.get(name)
    if text is not None and not pattern.fullmatch(text):
        wrong.append(f'{name}: "{text}" is not {wanted}')
        return None
    return text


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(given: Mapping[str, str], wrong: list[str]) -> str | None:
    name = given.get("timezone")
    if name is not None and name not in _zones():
        wrong.append(f'timezone: "{name}" is no name like Europe/Helsinki')
        return None
    return name


def _evidence(given: Mapping[str, str], wording: str | None) -> dict[str, str]:
    columns = {
        "consent_ip": "ip",
        "consent_user_agent": "user_agent",
        "consent_agent": "agent",
        "consent_locale": "wording_locale",
    }
    found = {field: given[column] for column, field in columns.items() if column in given}
    return found | ({"wording": wording} if wording else {})


def _key(given: Mapping[str, str], effective: Sequence[str | None]) -> str:
    return hashlib.sha256(canonical([dict(given), list(effective)])).hexdigest()
