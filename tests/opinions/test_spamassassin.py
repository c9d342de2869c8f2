"""What SpamAssassin says of the shipped mails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.domain.flows import MessageClass
from orchestrator.rendering.lint.fixtures import MINIMAL, NOW
from orchestrator.rendering.lint.subject import TYPICAL
from orchestrator.rendering.theme import TOKENS
from tests.opinions.shipped import Shipped, shipped
from tests.opinions.spamassassin import MISTAKEN, Score, received, score

pytestmark = pytest.mark.slow

MOST = 0.5


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Shipped, Score]]:
    mails = [*shipped(TYPICAL), *shipped(MINIMAL)]
    wires = [received(one.message.body, NOW) for one in mails]
    return list(zip(mails, score(wires, tmp_path_factory.mktemp("mails")), strict=True))


def table(scores: list[tuple[Shipped, Score]]) -> Iterator[str]:
    for mail, given in scores:
        rules = " ".join(f"{rule}={value}" for rule, value in given.rules.items())
        yield f"{given.total:4} {mail.message_class.value:9} {mail.place:36} {rules}"


def test_no_shipped_mail_is_taken_for_spam(
    scores: list[tuple[Shipped, Score]], record_property: Callable[[str, object], None]
) -> None:
    lines = list(table(scores))
    record_property("scores", lines)
    sys.stdout.write("\n".join(lines) + "\n")
    marketing = [one for one in scores if one[0].message_class is MessageClass.MARKETING]
    assert {mail.name for mail, _ in marketing} >= {"cart/reminder", "winback/gift"}
    assert len({mail.locale for mail, _ in marketing}) == 5
    high = [
        line
        for (mail, given), line in zip(scores, lines, strict=True)
        if given.without(*MISTAKEN.get(mail.locale, ())) > MOST
    ]
    assert not high, "\n".join(high)


def test_a_rule_is_called_mistaken_only_while_it_is(scores: list[tuple[Shipped, Score]]) -> None:
    for locale, rules in MISTAKEN.items():
        hit = {rule for mail, given in scores if mail.locale == locale for rule in given.rules}
        assert hit >= set(rules)


def test_it_notices_what_looks_like_spam(tmp_path: Path) -> None:
    good = next(one for one in shipped() if one.name == "cart/reminder").message.body
    unseen = f"color:{TOKENS['page'].light};\r\n".encode()
    changed = (
        (b"Subject: ", b"Subject: YOU WON! ACT NOW!!! $$$\r\nX-Subject: "),
        (b"Message-ID: ", b"X-Message-ID: "),
        (b"display:none;max-height", unseen + b"display:none;max-height"),
    )
    wrong = [good.replace(old, new, 1) for old, new in changed]
    assert good not in wrong
    kept, *scores = score([received(one, NOW) for one in (good, *wrong)], tmp_path)
    assert kept.total <= MOST
    assert all(one.total > MOST for one in scores), scores
