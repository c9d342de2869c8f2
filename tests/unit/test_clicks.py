from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.clicks import Click, by_machine, says_scanner
from orchestrator.domain.identifiers import ClickId, ContactId, MessageId

SENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)


def click(url: str, seconds: float, *, scanner: bool = False) -> Click:
    return Click(
        ClickId(f"{url}@{seconds}"),
        MessageId("m"),
        ContactId("c"),
        url,
        SENT + timedelta(seconds=seconds),
        scanner,
    )


def test_a_lone_click_after_a_while_is_a_persons() -> None:
    one = click("https://a.example", 60)
    assert not by_machine(one, SENT, [one])


def test_a_click_right_after_sending_is_a_machines() -> None:
    one = click("https://a.example", 1.5)
    assert by_machine(one, SENT, [one])


def test_different_links_followed_at_once_are_a_machines() -> None:
    some = [click("https://a.example", 60), click("https://b.example", 60.4)]
    assert [by_machine(one, SENT, some) for one in some] == [True, True]


def test_links_followed_one_after_the_other_are_a_persons() -> None:
    some = [click("https://a.example", 60), click("https://b.example", 63)]
    assert [by_machine(one, SENT, some) for one in some] == [False, False]


def test_one_link_followed_twice_at_once_is_a_persons_double_click() -> None:
    some = [click("https://a.example", 60), click("https://a.example", 60.2)]
    assert [by_machine(one, SENT, some) for one in some] == [False, False]


def test_what_admits_to_be_a_scanner_is_a_machine() -> None:
    one = click("https://a.example", 60, scanner=True)
    assert by_machine(one, SENT, [one])


@pytest.mark.parametrize(
    ("agent", "purpose"),
    [
        (None, None),
        ("", None),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", None),
        ("curl/8.5.0", None),
        ("python-requests/2.32", None),
        ("Mozilla/5.0 HeadlessChrome/131", None),
        ("Slackbot-LinkExpanding 1.0", None),
        (SAFARI, "prefetch"),
        (SAFARI, "prefetch;prerender"),
        (SAFARI, "preview"),
    ],
)
def test_scanners_are_known_by_what_they_say(agent: str | None, purpose: str | None) -> None:
    assert says_scanner(agent, purpose)


@pytest.mark.parametrize("agent", [SAFARI, "Mozilla/5.0 (Linux; Android 13; CUBOT P80) Mobile"])
def test_a_browser_is_no_scanner(agent: str) -> None:
    assert not says_scanner(agent, None)
    assert not says_scanner(agent, "   ")
