"""Who somebody is by now."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.domain.contacts import Contact
from orchestrator.domain.identifiers import ContactId


def followed(
    look: Callable[[Iterable[ContactId]], dict[ContactId, Contact]], contact_id: ContactId
) -> Contact | None:
    """The contact of a link; a merged one's link means whom it was merged into.

    `look` is `uow.contacts.load`, or `lock` to hold on to each contact on the way.
    """
    person = look([contact_id]).get(contact_id)
    while person is not None and person.merged_into is not None:
        contact_id = person.merged_into
        person = look([contact_id]).get(contact_id)
    return person


def present(person: Contact | None) -> Contact | None:
    """The same, unless it was erased."""
    return None if person is None or person.erased_at is not None else person
