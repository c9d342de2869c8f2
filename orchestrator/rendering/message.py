"""The `Renderer` port: a queued message and its facts become what a provider takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from typing import Any, Final, assert_never

from orchestrator.domain.contacts import Contact
from orchestrator.domain.errors import RecipientRejected, RenderFailed
from orchestrator.domain.flows import Channel, FlowBook, LocalText, MessageClass, SendStep
from orchestrator.domain.messages import Message
from orchestrator.ports import LinkClaims, RenderedMessage, RenderRequest
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.counted import with_counted_links
from orchestrator.rendering.email import EmailRenderer, RenderedEmail
from orchestrator.rendering.links import Links
from orchestrator.rendering.mime import MailEnvelope, build_mail
from orchestrator.rendering.sms import SmsRenderer

_CONTACT_FIELDS: Final = (
    *("email", "phone", "first_name", "last_name", "locale", "timezone", "country"),
    *("created_at", "last_seen_at", "tags", "tracking", "source"),
)
_KNOWN: Final = frozenset({"contact", "event", "checkout", "order", "item"})


class MessageRenderer:
    """Renders the messages of one version: its flows file and its template sources."""

    def __init__(self, book: FlowBook, templates: Mapping[str, str], links: Links) -> None:
        self._book = book
        self._links = links
        self._email = EmailRenderer(templates, book.brand, book.topics, book.attributes)
        self._sms = SmsRenderer(templates, book.brand, book.topics, book.attributes)

    def render(self, request: RenderRequest) -> RenderedMessage:
        """The message for a provider.

        Raises:
            RenderFailed: the template is missing, or it and the facts do not fit together.
            RecipientRejected: the contact has no usable address on the channel.
        """
        channel = request.message.channel
        address = request.contact.address(channel)
        if not address:
            raise RecipientRejected(f"no address for {channel.value}", "invalid_address")
        match channel:
            case Channel.EMAIL:
                return self._mail(request, address)
            case Channel.SMS:
                return self._text(request, address)
            case Channel.WHATSAPP:
                raise RenderFailed(request.message.template, None, "no WhatsApp messages yet")
        assert_never(channel)

    def _mail(self, request: RenderRequest, address: str) -> RenderedMessage:
        message, contact = request.message, request.contact
        context = self._context(request)
        mail = self._counted(self._email.render(message.template, context), context, message)
        brand, marketing = self._book.brand, context.message_class is MessageClass.MARKETING
        topic = self._book.topics.get(message.topic or "")
        sender = brand.email_for(context.message_class)
        names = (contact.first_name, contact.last_name)
        envelope = MailEnvelope(
            message_id=message.id,
            sender=sender,
            recipient=address,
            recipient_name=" ".join(name for name in names if name),
            date=request.now,
            reply_to=brand.support if "@" in brand.support else None,
            unsubscribe_url=context.links["unsubscribe"] if marketing else None,
            list_name=topic.name if topic else None,
            list_title=topic.title.in_locale(mail.locale) if topic else "",
        )
        body = build_mail(envelope, mail)
        return RenderedMessage(
            Channel.EMAIL,
            sender=sender,
            envelope_to=address,
            body=body,
            locale=mail.locale,
            details=_details(body, subject=mail.subject),
        )

    def _counted(
        self, mail: RenderedEmail, context: RenderContext, message: Message
    ) -> RenderedEmail:
        """Clicks are counted but in legal notices, whose links show plainly where they lead."""
        if context.message_class is MessageClass.LEGAL:
            return mail
        of_message = partial(self._links.counted, message.contact_id, message.id)
        plain = (context.links["privacy"],)
        return with_counted_links(mail, self._links.own, of_message, plain)

    def _text(self, request: RenderRequest, number: str) -> RenderedMessage:
        # Where the brand names nobody, the provider's own address does.
        sender = self._book.brand.sms_for(request.contact.country) or ""
        context = replace(self._context(request), sender=sender)
        sms = self._sms.render(request.message.template, context)
        body = sms.text.encode()
        return RenderedMessage(
            Channel.SMS,
            sender=sender,
            envelope_to=number,
            body=body,
            locale=sms.locale,
            details=_details(body, segments=sms.size.segments, encoding=sms.size.encoding.value),
        )

    def _context(self, request: RenderRequest) -> RenderContext:
        message, facts = request.message, request.facts
        privacy = self._book.brand.privacy
        claims = LinkClaims(message.contact_id, message.id, message.channel, message.topic)
        return RenderContext(
            message_class=MessageClass(message.message_class),
            links=self._links.of_message(
                claims, created_at=message.created_at, privacy=privacy.url if privacy else None
            ),
            locale=request.contact.locale,
            topic=message.topic,
            subject=self._subject(message.flow, message.step),
            contact=facts.get("contact") or contact_facts(request.contact),
            event=facts.get("event"),
            checkout=facts.get("checkout"),
            order=facts.get("order"),
            item=facts.get("item"),
            outputs={
                name: output
                for name, output in facts.items()
                if name not in _KNOWN and isinstance(output, Mapping)
            },
        )

    def _subject(self, flow: str, step: str) -> LocalText | None:
        known = self._book.flows.get(flow)
        send = known.program.get(step) if known else None
        return send.subject if isinstance(send, SendStep) else None


def contact_facts(contact: Contact) -> dict[str, Any]:
    """What a template may know of a contact; declared attributes never hide a field."""
    orders = contact.orders
    average = orders.total / orders.count if orders.count else None
    return {
        **contact.attributes,
        **{name: getattr(contact, name) for name in _CONTACT_FIELDS},
        "id": contact.external_id or contact.id,
        "orders": {**asdict(orders), "average": average},
    }


def _details(body: bytes, **more: str | int) -> dict[str, Any]:
    return {"bytes": len(body), "sha256": sha256(body).hexdigest(), **more}
