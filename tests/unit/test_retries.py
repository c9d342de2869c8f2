from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.retries import FIRST, LONGEST, LONGEST_ASKED, TRIES, retry_at

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def wait(tries: int, asked: timedelta | None = None) -> timedelta | None:
    again = retry_at(tries, NOW, asked)
    return None if again is None else again - NOW


def waits() -> list[timedelta]:
    found = (wait(tries) for tries in range(1, TRIES))
    return [one for one in found if one is not None]


def test_waits_double_from_15_seconds_to_an_hour() -> None:
    seconds = [one.total_seconds() for one in waits()[:10]]
    assert seconds == [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_tries_outlast_a_day_without_the_provider() -> None:
    assert sum(waits(), timedelta()) >= timedelta(days=1)
    assert len(waits()) == TRIES - 1


def test_after_the_last_try_it_is_given_up() -> None:
    assert wait(TRIES) is None
    assert wait(TRIES + 1) is None
    assert wait(TRIES, timedelta(minutes=1)) is None


@given(
    st.integers(-1, TRIES - 1),
    st.one_of(st.none(), st.timedeltas(timedelta(days=-1), timedelta.max)),
)
def test_a_provider_that_asks_for_longer_gets_it_up_to_a_day(
    tries: int, asked: timedelta | None
) -> None:
    found, plain = wait(tries, asked), wait(tries)
    assert found is not None
    assert plain is not None
    assert FIRST <= plain <= LONGEST
    assert found == max(plain, min(asked or timedelta(), LONGEST_ASKED))
