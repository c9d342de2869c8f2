from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.ports import ClickTarget, LinkClaims, LinkPurpose
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenPurpose, TokenSigner

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
CONTACT = ContactId("01936f5e-2d4a-7c3e-8a11-4f2f6a1b0c01")
MESSAGE = MessageId("01936f5e-2d4a-7c3e-8a11-4f2f6a1b0c02")
CLAIMS = LinkClaims(CONTACT, MESSAGE, Channel.EMAIL, "offers")


class StoppedClock:
    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def tokens(*keys: str, clock: StoppedClock | None = None) -> SignedLinkTokens:
    return SignedLinkTokens(TokenSigner(keys or ("first secret",)), clock or StoppedClock())


claims = st.builds(
    LinkClaims,
    contact_id=st.uuids().map(lambda uuid: ContactId(str(uuid))),
    message_id=st.none() | st.uuids().map(lambda uuid: MessageId(str(uuid))),
    channel=st.none() | st.sampled_from(Channel),
    topic=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
)


@given(claims, st.sampled_from(LinkPurpose))
def test_a_token_says_again_what_was_signed(given_claims: LinkClaims, purpose: LinkPurpose) -> None:
    signer = tokens()
    assert signer.verify(purpose, signer.sign(purpose, given_claims)) == given_claims


def test_a_token_is_good_for_its_purpose_alone() -> None:
    signer = tokens()
    for purpose in LinkPurpose:
        token = signer.sign(purpose, CLAIMS)
        accepted = [other for other in LinkPurpose if signer.verify(other, token)]
        assert accepted == [purpose]


def test_every_changed_character_is_noticed() -> None:
    signer = tokens()
    token = signer.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    for place, character in enumerate(token):
        for other in {"A", "z", "_", "="} - {character}:
            forged = token[:place] + other + token[place + 1 :]
            assert signer.verify(LinkPurpose.UNSUBSCRIBE, forged) is None


@given(st.text())
def test_nothing_else_is_a_token(text: str) -> None:
    assert tokens().verify(LinkPurpose.UNSUBSCRIBE, text) is None


@pytest.mark.parametrize("cut", [1, 4, 16, 40])
def test_a_cut_or_lengthened_token_is_refused(cut: int) -> None:
    signer = tokens()
    token = signer.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    for damaged in (token[:-cut], token[cut:], token + "A" * cut, token * 60):
        assert signer.verify(LinkPurpose.UNSUBSCRIBE, damaged) is None


def test_old_keys_verify_and_the_newest_signs() -> None:
    old = tokens("old").sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    new = tokens("new").sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    rotated = tokens("new", "old")
    assert rotated.verify(LinkPurpose.UNSUBSCRIBE, old) == CLAIMS
    assert rotated.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS) == new
    assert tokens("new").verify(LinkPurpose.UNSUBSCRIBE, old) is None


def test_an_expiring_token_ends_and_an_unsubscribe_token_does_not() -> None:
    clock = StoppedClock()
    signer = tokens(clock=clock)
    short = signer.sign(LinkPurpose.CONFIRM, CLAIMS, NOW + timedelta(days=7))
    for_ever = signer.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    clock.at = NOW + timedelta(days=7) - timedelta(seconds=1)
    assert signer.verify(LinkPurpose.CONFIRM, short) == CLAIMS
    clock.at = NOW + timedelta(days=7)
    assert signer.verify(LinkPurpose.CONFIRM, short) is None
    clock.at = NOW + timedelta(days=36500)
    assert signer.verify(LinkPurpose.UNSUBSCRIBE, for_ever) == CLAIMS


def test_a_token_is_short_and_fits_a_path() -> None:
    token = tokens().sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    assert len(token) < 90
    assert token.replace("-", "a").replace("_", "a").isalnum()


BRIEF = replace(CLAIMS, channel=Channel.SMS, message_id=None)
BRIEF_PURPOSES = (LinkPurpose.UNSUBSCRIBE, LinkPurpose.PREFERENCES)


def test_a_text_messages_token_is_brief_and_names_no_message() -> None:
    signer = tokens()
    token = signer.sign_briefly(LinkPurpose.UNSUBSCRIBE, replace(BRIEF, message_id=MESSAGE))
    assert len(token) <= 48
    assert signer.verify(LinkPurpose.UNSUBSCRIBE, token) == BRIEF


def test_a_brief_token_is_good_for_its_purpose_alone() -> None:
    signer = tokens()
    for purpose in LinkPurpose:
        token = signer.sign_briefly(purpose, BRIEF)
        accepted = [other for other in LinkPurpose if signer.verify(other, token)]
        assert accepted == ([purpose] if purpose in BRIEF_PURPOSES else [])


def test_every_changed_character_of_a_brief_token_is_noticed() -> None:
    signer = tokens()
    token = signer.sign_briefly(LinkPurpose.UNSUBSCRIBE, BRIEF)
    for place, character in enumerate(token):
        for other in {"A", "z", "_", "="} - {character}:
            forged = token[:place] + other + token[place + 1 :]
            assert signer.verify(LinkPurpose.UNSUBSCRIBE, forged) is None
    for cut in range(1, len(token)):
        assert signer.verify(LinkPurpose.UNSUBSCRIBE, token[:cut]) is None


def test_a_brief_token_outlives_its_key_being_rotated() -> None:
    old = tokens("old").sign_briefly(LinkPurpose.UNSUBSCRIBE, BRIEF)
    assert tokens("new", "old").verify(LinkPurpose.UNSUBSCRIBE, old) == BRIEF
    assert tokens("new").verify(LinkPurpose.UNSUBSCRIBE, old) is None


def test_a_link_that_was_counted_leads_where_it_was_signed_to() -> None:
    target = ClickTarget(CONTACT, MESSAGE, "https://shop.example/ö?a=1&b=2")
    signer = tokens()
    assert signer.verify_click(signer.sign_click(target)) == target
    assert signer.verify_click(signer.sign(LinkPurpose.VIEW, CLAIMS)) is None


def test_session_payloads_are_free() -> None:
    signer = TokenSigner(["secret"])
    token = signer.sign(TokenPurpose.CLICK, b"\x00anything", NOW + timedelta(hours=1))
    assert signer.verify(TokenPurpose.CLICK, token, NOW) == b"\x00anything"
    assert signer.verify(TokenPurpose.VIEW, token, NOW) is None
    assert signer.verify(TokenPurpose.CLICK, token, NOW + timedelta(hours=1)) is None


def test_signing_needs_a_key() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        TokenSigner([])


def test_links_lie_below_the_public_url_and_repeat() -> None:
    signer = tokens()
    links = Links("https://mail.northwind.example/", signer)
    made = links.of_message(CLAIMS, created_at=NOW, privacy="https://northwind.example/privacy")
    assert made == links.of_message(
        CLAIMS, created_at=NOW, privacy="https://northwind.example/privacy"
    )
    paths = {name: urlsplit(url or "").path.split("/")[1] for name, url in made.items()}
    assert paths == {
        "unsubscribe": "u",
        "preferences": "preferences",
        "confirm": "confirm",
        "view": "view",
        "privacy": "privacy",
    }
    token = (made["unsubscribe"] or "").rpartition("/")[2]
    assert signer.verify(LinkPurpose.UNSUBSCRIBE, token) == CLAIMS
    assert UUID(CONTACT).hex not in token
