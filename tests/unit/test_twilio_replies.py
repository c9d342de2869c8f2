"""A reply is believed only if Twilio signed it, for our public address and all of its fields."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from orchestrator.channels.sms.twilio_replies import MOST_FIELDS, TwilioReplies
from orchestrator.domain.errors import MalformedPayload, VerificationError
from orchestrator.domain.flows import Channel
from orchestrator.domain.replies import Intent, Reply
from tests.integration.twilio_server import TOKEN, inbound, signature, signed_request

URL = "https://messages.northwind.example/replies/twilio"


def read(
    form: dict[str, str], url: str = URL, secrets: tuple[str, ...] = (TOKEN,), signed: str = URL
) -> Reply:
    headers, body = signed_request(signed, form)
    return TwilioReplies(secrets).read(url, headers, body)


def test_a_signed_text_is_read() -> None:
    form = inbound("Please stop 😡", MessageSid="SM" + "a" * 32)
    assert read(form) == Reply(
        "twilio", "SM" + "a" * 32, Channel.SMS, "+358401234567", "Please stop 😡"
    )


def test_the_vendors_own_example_is_signed_as_it_says() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    headers = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    # It is no text message: being told so means that the signature was right.
    with pytest.raises(MalformedPayload, match="MessageSid"):
        TwilioReplies(["12345"]).read(url, headers, urlencode(form).encode())
    with pytest.raises(VerificationError):
        TwilioReplies(["12346"]).read(url, headers, urlencode(form).encode())


NAMES = st.text("abAB_é", min_size=1, max_size=4)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_we_and_the_vendors_library_agree_on_any_form(form: dict[str, str]) -> None:
    form = {**inbound("hi"), **form}
    headers, body = signed_request(URL, form)
    assert RequestValidator(TOKEN).validate(URL, form, headers["x-twilio-signature"])
    assert TwilioReplies([TOKEN]).read(URL, headers, body).text == "hi"


def test_a_field_that_came_later_into_use_is_signed_too() -> None:
    form = inbound("hi", SomethingNew="1", Another="")
    assert read(form).text == "hi"
    headers, _ = signed_request(URL, form)
    with pytest.raises(VerificationError):
        TwilioReplies([TOKEN]).read(URL, headers, urlencode(inbound("hi")).encode())


@pytest.mark.parametrize(
    ("url", "signed", "believed"),
    [
        (URL, "https://messages.northwind.example:443/replies/twilio", True),
        (URL + "?shop=1", URL + "?shop=1", True),
        (URL + "?shop=1", URL, False),
        ("http://127.0.0.1:8000/replies/twilio", "http://127.0.0.1:8000/replies/twilio", True),
        ("http://127.0.0.1:8000/replies/twilio", "http://127.0.0.1/replies/twilio", True),
        (URL, "https://elsewhere.example/replies/twilio", False),
        (URL, URL.replace("https", "http"), False),
    ],
)
def test_the_signature_is_of_our_public_address(url: str, signed: str, believed: bool) -> None:
    if believed:
        assert read(inbound("hi"), url, signed=signed).text == "hi"
    else:
        with pytest.raises(VerificationError):
            read(inbound("hi"), url, signed=signed)


def test_an_older_secret_is_still_believed() -> None:
    assert read(inbound("hi"), secrets=("a newer token", TOKEN)).text == "hi"
    with pytest.raises(VerificationError):
        read(inbound("hi"), secrets=("a newer token",))


def test_a_changed_field_is_not_believed() -> None:
    headers, _ = signed_request(URL, inbound("hi"))
    changed = urlencode(inbound("hi", From="+358409999999")).encode()
    with pytest.raises(VerificationError):
        TwilioReplies([TOKEN]).read(URL, headers, changed)


@pytest.mark.parametrize("given_signature", ["", "é", "RSOYDt4T1cUTdK1PDd93/VVr8B8="])
def test_a_signature_that_is_missing_or_wrong_is_refused(given_signature: str) -> None:
    headers = {"x-twilio-signature": given_signature}
    with pytest.raises(VerificationError):
        TwilioReplies([TOKEN]).read(URL, headers, urlencode(inbound("hi")).encode())


def test_the_newer_signature_says_which_hash_it_is_of() -> None:
    form = inbound("hi")
    said = URL + "".join(name + form[name] for name in sorted(form))
    mark = base64.b64encode(hmac.digest(TOKEN.encode(), said.encode(), hashlib.sha256)).decode()
    headers = {
        "x-twilio-signature": mark,
        "x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256",
    }
    body = urlencode(form).encode()
    assert TwilioReplies([TOKEN]).read(URL, headers, body).text == "hi"
    headers["x-twilio-webhooks-signature-settings"] = "key=k,algorithm=HMAC_MD5"
    with pytest.raises(VerificationError):
        TwilioReplies([TOKEN]).read(URL, headers, body)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_not_authentic(body: bytes) -> None:
    with pytest.raises(VerificationError):
        TwilioReplies([TOKEN]).read(URL, {"x-twilio-signature": "x"}, body)


def test_a_form_of_too_many_fields_is_refused() -> None:
    body = "&".join("a=b" for _ in range(MOST_FIELDS + 1)).encode()
    with pytest.raises(VerificationError):
        TwilioReplies([TOKEN]).read(URL, {"x-twilio-signature": "x"}, body)


@pytest.mark.parametrize(
    "wrong", [{"MessageSid": ""}, {"From": "Northwind"}, {"From": "12345"}, {"From": ""}]
)
def test_an_authentic_form_that_is_no_text_message_is_unreadable(wrong: dict[str, str]) -> None:
    with pytest.raises(MalformedPayload):
        read(inbound("hi", **wrong))


def test_an_authentic_form_that_is_not_utf_8_is_unreadable() -> None:
    body = b"Body=%ff&MessageSid=SM1"
    mark = hmac.digest(TOKEN.encode(), URL.encode() + b"Body\xffMessageSidSM1", hashlib.sha1)
    headers = {"x-twilio-signature": base64.b64encode(mark).decode()}
    with pytest.raises(MalformedPayload, match="UTF-8"):
        TwilioReplies([TOKEN]).read(URL, headers, body)


def test_whatsapp_and_the_providers_own_keywords_are_understood() -> None:
    form = inbound("ENOUGH", From="whatsapp:+358401234567", OptOutType="STOP")
    reply = read(form)
    assert (reply.channel, reply.number) == (Channel.WHATSAPP, "+358401234567")
    assert reply.keyword is Intent.STOP


def test_the_stand_in_signs_as_the_vendors_library_does() -> None:
    form = inbound("hi")
    assert signature(URL, form) == RequestValidator(TOKEN).compute_signature(URL, form)
