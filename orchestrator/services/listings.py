"""People and messages, a page at a time, and one person's whole story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.domain.contacts import Contact
from orchestrator.domain.events import Event
from orchestrator.domain.identifiers import ContactId
from orchestrator.domain.messages import Message
from orchestrator.ports import MessageFilter, PhoneNumbers, UnitOfWork
from orchestrator.services.contact_view import ContactView, find_contact, view_contact

PAGE: Final = 50
MOST_EVENTS: Final = 200
"""How many of a person's events are told."""
_MOST_WORDS: Final = 4


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Some people; `exact` if one was named beyond doubt; `more` if others come after them."""

    people: tuple[Contact, ...]
    more: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Some messages with whom they are to, the newest first."""

    messages: tuple[Message, ...]
    people: Mapping[ContactId, Contact]
    more: bool


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of a person; of the events the newest alone."""

    view: ContactView
    events: Sequence[Event]
    more_events: bool


def people_page(
    uow: UnitOfWork, text: str, before: ContactId | None, phones: PhoneNumbers, region: str | None
) -> PeoplePage:
    """Whom a text names (address, number, id), else whose name or address begins with its words."""
    if text.strip():
        named = find_contact(uow, text, phones, region)
        if named is not None:
            return PeoplePage((named,), exact=True)
    words = text.split()[:_MOST_WORDS]
    found = uow.overview.people(words, before, PAGE + 1)
    return PeoplePage(tuple(found[:PAGE]), more=len(found) > PAGE)


def message_page(uow: UnitOfWork, wanted: MessageFilter) -> MessagePage:
    """The newest messages of a filter."""
    found = uow.messages.find(replace(wanted, newest_first=True, limit=PAGE + 1))
    shown = found[:PAGE]
    people = uow.contacts.load({message.contact_id for message in shown})
    return MessagePage(tuple(shown), people, len(found) > PAGE)


def story_of(uow: UnitOfWork, contact_id: str) -> Story | None:
    """A person's story by our id; None if there is nobody.

    Who was merged into another is found as the other.
    """
    person = find_contact(uow, contact_id)
    if person is None:
        return None
    events = uow.events.of_contact(person.id, MOST_EVENTS + 1)
    return Story(view_contact(uow, person), events[:MOST_EVENTS], len(events) > MOST_EVENTS)
