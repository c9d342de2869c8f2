"""Everything known of one person: for `contacts show`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from orchestrator.domain.consent import ConsentState, LedgerRecord
from orchestrator.domain.contacts import Contact, normalise_email
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.identifiers import ContactId
from orchestrator.domain.messages import Message
from orchestrator.ports import MessageFilter, PhoneNumbers, UnitOfWork

_SPACING: Final = re.compile(r"[\s().\-/\u00a0]+")
_INTERNATIONAL: Final = re.compile(r"\+[1-9][0-9]{5,14}")


@dataclass(frozen=True, slots=True)
class ContactView:
    """A person with consents, the records that prove them, runs and messages."""

    contact: Contact
    states: tuple[ConsentState, ...]
    records: tuple[LedgerRecord, ...]
    enrolments: tuple[Enrolment, ...]
    messages: tuple[Message, ...]

    def proof(self, state: ConsentState) -> LedgerRecord | None:
        """The record that decided a state."""
        wanted = (state.subject_id, state.seq)
        return next((r for r in self.records if (r.subject_id, r.seq) == wanted), None)


def find_contact(
    uow: UnitOfWork, text: str, phones: PhoneNumbers | None = None, region: str | None = None
) -> Contact | None:
    """The person an email address, a telephone number or an id (the shop's or ours) names.

    A number without its country is read as one of `region`, given a reader of numbers. One
    who was merged into another is found as the other.
    """
    text = text.strip()
    contact_id = _by_identity(uow, text, phones, region)
    seen: set[ContactId] = set()
    while contact_id is not None and contact_id not in seen:
        seen.add(contact_id)
        person = uow.contacts.load([contact_id]).get(contact_id)
        if person is None or person.merged_into is None:
            return person
        contact_id = person.merged_into
    return None


def _by_identity(
    uow: UnitOfWork, text: str, phones: PhoneNumbers | None, region: str | None
) -> ContactId | None:
    if (email := normalise_email(text)) and (found := uow.contacts.find("email", email)):
        return found
    if found := uow.contacts.find("id", text):
        return found
    if (phone := _phone(text, phones, region)) and (found := uow.contacts.find("phone", phone)):
        return found
    try:
        return ContactId(str(UUID(text)))
    except ValueError:
        return None


def _phone(text: str, phones: PhoneNumbers | None, region: str | None) -> str | None:
    if phones and (number := phones(text, region)):
        return number
    dense = _SPACING.sub("", text)
    dense = "+" + dense[2:] if dense.startswith("00") else dense
    return dense if _INTERNATIONAL.fullmatch(dense) else None


def view_contact(uow: UnitOfWork, contact: Contact) -> ContactView:
    """Gather everything; messages and runs come oldest first."""
    return ContactView(
        contact=contact,
        states=tuple(uow.consents.states([contact.id])[contact.id]),
        records=tuple(uow.consents.records(contact.id)),
        enrolments=tuple(uow.enrolments.of_contact(contact.id)),
        messages=tuple(uow.messages.find(MessageFilter(contact_id=contact.id))),
    )


def as_json(view: ContactView) -> dict[str, Any]:
    """The document of `contacts show --json`: `contact consents enrolments messages`."""
    return {
        "contact": _contact_json(view.contact),
        "consents": [_consent_json(view, state) for state in view.states],
        "enrolments": [_enrolment_json(run) for run in view.enrolments],
        "messages": [_message_json(view.contact, message) for message in view.messages],
    }


def _contact_json(contact: Contact) -> dict[str, Any]:
    orders = contact.orders
    return {
        "id": contact.id,
        "external_id": contact.external_id,
        "email": contact.email,
        "phone": contact.phone,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "locale": contact.locale,
        "timezone": contact.timezone,
        "country": contact.country,
        "tracking": contact.tracking,
        "tags": list(contact.tags),
        "attributes": dict(contact.attributes),
        "source": dict(contact.source),
        "orders": {
            "count": orders.count,
            "total": format(orders.total, "f"),
            "first_at": iso(orders.first_at),
            "last_at": iso(orders.last_at),
        },
        "created_at": iso(contact.created_at),
        "last_seen_at": iso(contact.last_seen_at),
        "erased_at": iso(contact.erased_at),
    }


def _consent_json(view: ContactView, state: ConsentState) -> dict[str, Any]:
    proof = view.proof(state)
    details: Mapping[str, Any] = proof.details if proof else {}
    return {
        "channel": state.channel.value,
        "topic": state.topic,
        "status": state.status.value,
        "legal_basis": state.legal_basis,
        "method": proof.method if proof else None,
        "source": details.get("collection_point"),
        "since": iso(state.changed_at),
        "expires_at": iso(state.expires_at),
        "record": {"subject": state.subject_id, "seq": state.seq},
    }


def _enrolment_json(run: Enrolment) -> dict[str, Any]:
    return {
        "id": run.id,
        "flow": run.flow,
        "key": run.key,
        "entry": run.entry,
        "step": run.step,
        "due_at": iso(run.due_at),
        "entered_at": iso(run.entered_at),
        "ended_at": iso(run.ended_at),
        "end_reason": run.end_reason,
        "version": run.version,
    }


def _message_json(contact: Contact, message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "contact": contact.label,
        "channel": message.channel.value,
        "flow": message.flow,
        "step": message.step,
        "template": message.template,
        "variant": message.variant,
        "status": message.state.value,
        "reason": message.reason,
        "provider": message.provider,
        "provider_id": message.provider_id,
        "created_at": iso(message.created_at),
        "sent_at": iso(message.sent_at),
    }


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with a `Z`."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None
