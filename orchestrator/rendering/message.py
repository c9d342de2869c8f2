"""The `Renderer` port: a queued message and its facts become what a provider takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, Final, assert_never

from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.errors import RecipientRejected, RenderFailed
from orchestrator.domain.flows import Channel, FlowBook, LocalText, MessageClass, SendStep
from orchestrator.domain.messages import Message
from orchestrator.ports import LinkClaims, RenderedMessage, RenderRequest
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.counted import with_counted_links
from orchestrator.rendering.email import EmailRenderer, RenderedEmail
from orchestrator.rendering.links import Links
from orchestrator.rendering.lint.sending import addressed_by_facts, hold_mail, hold_text, texts_of
from orchestrator.rendering.mime import MailEnvelope, build_mail
from orchestrator.rendering.sms import RenderedSms, SmsRenderer
from orchestrator.rendering.templates import built_in
from orchestrator.rendering.transfer import in_ascii

_CONTACT_FIELDS: Final = (
    *("email", "phone", "first_name", "last_name", "locale", "timezone", "country"),
    *("created_at", "last_seen_at", "tags", "tracking", "source"),
)
_ORDER_FIELDS: Final = tuple(field.name for field in fields(OrderHistory))
_KNOWN: Final = frozenset({"contact", "event", "checkout", "order", "item"})


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail that is looked at: as rendered, with counted links, and as bytes."""

    mail: RenderedEmail
    written: str
    """Its HTML as the template made it."""
    counted: RenderedEmail
    wire: bytes
    links: Mapping[str, str | None]


class MessageRenderer:
    """Renders the messages of one version: its flows file and its template sources."""

    def __init__(self, book: FlowBook, templates: Mapping[str, str], links: Links) -> None:
        self._book = book
        self._links = links
        self._email = EmailRenderer(templates, book.brand, book.topics, book.attributes)
        self._sms = SmsRenderer(templates, book.brand, book.topics, book.attributes)
        self._addressed = addressed_by_facts(templates, built_in())

    def render(self, request: RenderRequest) -> RenderedMessage:
        """The message for a provider.

        Raises:
            RenderFailed: the template is missing, or it and the facts do not fit together.
            LintFailed: the message breaks a rule that is looked at once more when it is sent.
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

    def problems(
        self, channel: Channel, template: str, outputs: Sequence[str], locale: str
    ) -> list[RenderFailed]:
        """What keeps a template from being loaded: syntax, or names nobody knows."""
        renderer = self._email if channel is Channel.EMAIL else self._sms
        return renderer.check(template, outputs, locale)

    def drafted(self, request: RenderRequest, sent: Callable[[str], str]) -> Draft:
        """A mail for who looks at it before it is sent; `sent` is done to its HTML first.

        Held to no rule. Raises like `render`.
        """
        context = self._context(request)
        written = self._email.render(request.message.template, context)
        mail = replace(written, html=sent(written.html))
        counted = self._finished(mail, context, request.message)
        wire = self._posted(request, context, counted)
        return Draft(mail, written.html, counted, wire, context.links)

    def drafted_text(self, request: RenderRequest) -> RenderedSms:
        """A text message, likewise; raises like `render`."""
        context = replace(self._context(request), sender=self._sender(request))
        return self._sms.render_unbounded(request.message.template, context)

    def _sender(self, request: RenderRequest) -> str:
        """A text's sender; where the brand names nobody, the provider's own address is it."""
        return self._book.brand.sms_for(request.contact.country) or ""

    def _mail(self, request: RenderRequest, address: str) -> RenderedMessage:
        context = self._context(request)
        mail = self._email.render(request.message.template, context)
        mail = self._finished(mail, context, request.message)
        body = self._posted(request, context, mail)
        hold_mail(
            request.message.template,
            mail,
            body,
            marketing=context.message_class is MessageClass.MARKETING,
            addressed=self._addressed,
            said=lambda: texts_of(request.facts, contact_facts(request.contact)),
        )
        return RenderedMessage(
            Channel.EMAIL,
            sender=self._book.brand.email_for(context.message_class),
            envelope_to=address,
            body=body,
            locale=mail.locale,
            details=_details(body, subject=mail.subject),
        )

    def _posted(self, request: RenderRequest, context: RenderContext, mail: RenderedEmail) -> bytes:
        message, contact, brand = request.message, request.contact, self._book.brand
        marketing = context.message_class is MessageClass.MARKETING
        topic = self._book.topics.get(message.topic or "")
        names = (contact.first_name, contact.last_name)
        envelope = MailEnvelope(
            message_id=message.id,
            sender=brand.email_for(context.message_class),
            recipient=contact.address(Channel.EMAIL) or "",
            recipient_name=" ".join(name for name in names if name),
            date=request.now,
            reply_to=brand.support if "@" in brand.support else None,
            unsubscribe_url=context.links["unsubscribe"] if marketing else None,
            list_name=topic.name if topic else None,
            list_title=topic.title.in_locale(mail.locale) if topic else "",
        )
        return build_mail(envelope, mail)

    def _finished(
        self, mail: RenderedEmail, context: RenderContext, message: Message
    ) -> RenderedEmail:
        """The mail as it is sent.

        Clicks are counted but in legal notices, whose links show plainly where they lead.
        """
        if context.message_class is not MessageClass.LEGAL:
            counted = self._links.counting(message.contact_id, message.id)
            plain = (context.links["privacy"],)
            mail = with_counted_links(mail, self._links.own, counted, plain)
        html = in_ascii(mail.html)
        return RenderedEmail(mail.subject, mail.preheader, html, mail.text, mail.locale)

    def _text(self, request: RenderRequest, number: str) -> RenderedMessage:
        sms = self.drafted_text(request)
        hold_text(request.message.template, sms, self._book.brand.name.in_locale(sms.locale))
        body = sms.text.encode()
        return RenderedMessage(
            Channel.SMS,
            sender=self._sender(request),
            envelope_to=number,
            body=body,
            locale=sms.locale,
            details=_details(body, segments=sms.size.segments, encoding=sms.size.encoding.value),
            valid_for=ends - request.now if (ends := request.message.expires_at) else None,
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
        "orders": {**{name: getattr(orders, name) for name in _ORDER_FIELDS}, "average": average},
    }


def _details(body: bytes, **more: str | int) -> dict[str, Any]:
    return {"bytes": len(body), "sha256": sha256(body).hexdigest(), **more}
