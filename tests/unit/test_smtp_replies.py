"""The table of `docs/channels.md`: what a mail server's answer means for a message."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.email.smtp_replies import (
    FULL_PAUSE,
    LONGEST_DETAIL,
    MEND_PAUSE,
    Reply,
    Stage,
    cleaned,
    delivery_of,
    interrupted,
    queue_id,
)
from orchestrator.channels.trouble import Trouble
from orchestrator.ports import DeliveryOutcome

SENT, REJECTED = DeliveryOutcome.SENT, DeliveryOutcome.REJECTED
RETRY, UNKNOWN = DeliveryOutcome.RETRY, DeliveryOutcome.UNKNOWN
SETTING_UP = [Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.AUTH]
ADA = "ada.lovelace@example.com"

stages = st.sampled_from(Stage)
replies = st.builds(Reply, st.integers(-1, 999), st.text(max_size=80))


@pytest.mark.parametrize(
    ("stage", "answer", "outcome", "reason", "pause"),
    [
        # Whoever does not let us in tells something about the settings, not about a recipient.
        (Stage.CONNECT, "554 5.7.1 not welcome", RETRY, None, MEND_PAUSE),
        (Stage.HELLO, "550 bad name", RETRY, None, MEND_PAUSE),
        (Stage.TLS, "500 what", RETRY, None, MEND_PAUSE),
        (Stage.AUTH, "535 5.7.8 wrong", RETRY, None, MEND_PAUSE),
        (Stage.AUTH, "454 4.7.0 later", RETRY, None, None),
        (Stage.MAIL, "530 5.7.0 log in first", RETRY, None, MEND_PAUSE),
        (Stage.RCPT, "530 5.7.0 log in first", RETRY, None, MEND_PAUSE),
        (Stage.RCPT, "554 5.7.1 <x>: Relay access denied", RETRY, None, MEND_PAUSE),
        (Stage.RCPT, "550 relay not permitted", RETRY, None, MEND_PAUSE),
        (Stage.RCPT, "553 not in my list of allowed rcpthosts", RETRY, None, MEND_PAUSE),
        # The sender or the size.
        (Stage.MAIL, "550 5.1.8 bad sender", REJECTED, "rejected", None),
        (Stage.MAIL, "553 5.7.1 not your address", REJECTED, "rejected", None),
        (Stage.MAIL, "552 message size exceeds fixed maximum", REJECTED, "rejected", None),
        (Stage.MAIL, "501 syntax", REJECTED, "rejected", None),
        (Stage.MAIL, "452 too busy", RETRY, None, None),
        # The recipient.
        (Stage.RCPT, "550 no such user", REJECTED, "invalid_address", None),
        (Stage.RCPT, "550 5.0.0 no such user", REJECTED, "invalid_address", None),
        (Stage.RCPT, "550 5.5.0 mailbox unavailable", REJECTED, "invalid_address", None),
        (Stage.RCPT, "551 moved away", REJECTED, "invalid_address", None),
        (Stage.RCPT, "553 not a mailbox", REJECTED, "invalid_address", None),
        (Stage.RCPT, "501 bad address syntax", REJECTED, "invalid_address", None),
        (Stage.RCPT, "556 domain takes no mail", REJECTED, "invalid_address", None),
        (Stage.RCPT, "550 5.1.1 unknown", REJECTED, "invalid_address", None),
        (Stage.RCPT, "556 5.1.10 null MX", REJECTED, "invalid_address", None),
        (Stage.RCPT, "550 5.2.1 disabled", REJECTED, "invalid_address", None),
        (Stage.RCPT, "550 5.1.7 bad sender", REJECTED, "rejected", None),
        (Stage.RCPT, "550 5.7.1 listed as a source of spam", REJECTED, "rejected", None),
        (Stage.RCPT, "550 5.4.1 access denied", REJECTED, "rejected", None),
        (Stage.RCPT, "554 no", REJECTED, "rejected", None),
        (Stage.RCPT, "550 4.1.1 a contradiction", REJECTED, "invalid_address", None),
        (Stage.RCPT, "450 4.7.1 greylisted", RETRY, None, None),
        (Stage.RCPT, "421 4.3.2 closing", RETRY, None, None),
        # Room comes back.
        (Stage.RCPT, "552 5.2.2 mailbox full", RETRY, None, FULL_PAUSE),
        (Stage.RCPT, "552 over quota", RETRY, None, FULL_PAUSE),
        (Stage.RCPT, "452 4.2.2 mailbox full", RETRY, None, FULL_PAUSE),
        (Stage.DOT, "552 5.2.2 mailbox full", RETRY, None, FULL_PAUSE),
        (Stage.DOT, "552 5.3.1 disk full", RETRY, None, FULL_PAUSE),
        (Stage.DOT, "552 5.3.4 too big", REJECTED, "rejected", None),
        (Stage.DOT, "552 5.2.3 too long", REJECTED, "rejected", None),
        (Stage.DOT, "552 too much", REJECTED, "rejected", None),
        # The message.
        (Stage.DATA, "554 no valid recipients", REJECTED, "rejected", None),
        (Stage.DATA, "451 later", RETRY, None, None),
        (Stage.DATA, "250 nonsense", RETRY, None, None),
        (Stage.BODY, "552 5.3.4 enough", REJECTED, "rejected", None),
        (Stage.BODY, "250 taken before its end", RETRY, None, None),
        (Stage.DOT, "554 5.7.1 spam", REJECTED, "rejected", None),
        (Stage.DOT, "550 content refused", REJECTED, "rejected", None),
        (Stage.DOT, "550 5.1.1 no such user after all", REJECTED, "invalid_address", None),
        (Stage.DOT, "451 4.3.0 later", RETRY, None, None),
        (Stage.DOT, "421 4.3.2 closing", RETRY, None, None),
        (Stage.DOT, "250 ok", SENT, None, None),
        (Stage.DOT, "251 will forward", SENT, None, None),
        (Stage.DOT, "354 what", UNKNOWN, None, None),
        (Stage.DOT, "-1 rubbish", UNKNOWN, None, None),
    ],
)
def test_an_answer_means(
    stage: Stage,
    answer: str,
    outcome: DeliveryOutcome,
    reason: str | None,
    pause: timedelta | None,
) -> None:
    code, _, text = answer.partition(" ")
    found = delivery_of(stage, Reply(int(code), text))
    assert (found.outcome, found.reason, found.retry_after) == (outcome, reason, pause)


def test_the_page_names_every_code_and_pause() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    for trouble in Trouble:
        assert f"`{trouble.value}`" in page
    assert timedelta(minutes=15) == MEND_PAUSE
    assert timedelta(hours=1) == FULL_PAUSE


@given(stages, replies)
def test_only_an_answer_to_the_final_dot_can_mean_sent_or_doubt(stage: Stage, reply: Reply) -> None:
    found = delivery_of(stage, reply)
    if stage is not Stage.DOT:
        assert found.outcome in {RETRY, REJECTED}
    assert (found.outcome is SENT) == (stage is Stage.DOT and reply.code // 100 == 2)
    assert (found.reason is not None) == (found.outcome is REJECTED)


@given(st.sampled_from(SETTING_UP), replies)
def test_nobody_is_refused_before_the_message_was_spoken_of(stage: Stage, reply: Reply) -> None:
    assert delivery_of(stage, reply).outcome is RETRY


@given(stages, st.integers(400, 499), st.text(max_size=80))
def test_later_always_means_later(stage: Stage, code: int, text: str) -> None:
    assert delivery_of(stage, Reply(code, text)).outcome is RETRY


@given(stages, st.sampled_from([Trouble.DROPPED, Trouble.TIMEOUT, Trouble.PROTOCOL]))
def test_silence_is_doubt_after_the_final_dot_alone(stage: Stage, trouble: Trouble) -> None:
    expected = UNKNOWN if stage is Stage.DOT else RETRY
    assert interrupted(stage, trouble).outcome is expected


def test_a_refusal_to_let_us_in_is_called_configuration() -> None:
    assert delivery_of(Stage.AUTH, Reply(535, "5.7.8 no")).code == "configuration"
    assert delivery_of(Stage.RCPT, Reply(550, "5.1.1 no")).code == "550"


def test_a_login_is_never_repeated_in_what_is_kept() -> None:
    found = delivery_of(Stage.AUTH, Reply(535, "5.7.8 AUTH PLAIN AGFkYQBzM2NyZXQ= refused"))
    assert found.detail == "login refused: 535 5.7.8"


@pytest.mark.parametrize(
    "text",
    [
        f"5.1.1 <{ADA}>: Recipient address rejected",
        f"5.1.1 {ADA.upper()} unknown",
        "5.1.1 no such user ada.lovelace here",
        "5.1.1 other.person@example.org complained",
    ],
)
def test_no_address_stays_in_what_is_kept(text: str) -> None:
    detail = delivery_of(Stage.RCPT, Reply(550, text), ADA).detail
    assert detail is not None
    assert "lovelace" not in detail.lower()
    assert "@" not in detail
    assert detail.startswith("550 5.1.1")


def test_no_token_of_a_link_stays_in_what_is_kept() -> None:
    text = "5.7.1 blocked because of https://news.example/u/AbCdEf123456.sig"
    detail = delivery_of(Stage.DOT, Reply(554, text)).detail
    assert detail is not None
    assert "AbCdEf" not in detail


@given(st.text())
def test_what_is_kept_is_one_short_printable_line(text: str) -> None:
    line = cleaned(text)
    assert line.isprintable()
    assert len(line) <= LONGEST_DETAIL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.0.0 Ok: queued as 4F1A2B3C4D", "4F1A2B3C4D"),
        ("OK id=1rXyZa-0001Bc-2D", "1rXyZa-0001Bc-2D"),
        ("2.6.0 <x@y> [InternalId=123456789, Hostname=a.b] Queued mail for delivery", "123456789"),
        ("Message Queued (6E5C3A2B-1.1)", "6E5C3A2B-1.1"),
        ("2.0.0 38KFq1x2012345 Message accepted for delivery", "38KFq1x2012345"),
        ("ok 1700000000 qp 12345", "1700000000 qp 12345"),
        ("2.0.0 OK  1700000000 d2e1a72fcca58-abc - gsmtp", "1700000000 d2e1a72fcca58-abc"),
        ("Ok 0102018f3c2e7a5b-1234-000000", "0102018f3c2e7a5b-1234-000000"),
        ("2.0.0 Ok", None),
        ("OK", None),
        ("", None),
    ],
)
def test_the_servers_own_name_for_a_mail_is_read(text: str, expected: str | None) -> None:
    assert queue_id(Reply(250, text)) == expected
