from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.retries import LONGEST_ASKED, SPREAD, TRIES, retry_at

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
draws = st.floats(0, 1, exclude_max=True)


def wait(tries: int, asked: timedelta | None = None, draw: float = 0.5) -> timedelta | None:
    again = retry_at(tries, NOW, asked, draw)
    return None if again is None else again - NOW


def waits(draw: float = 0.5) -> list[timedelta]:
    found = (wait(tries, draw=draw) for tries in range(1, TRIES))
    return [one for one in found if one is not None]


def test_waits_grow_from_15_seconds_to_two_hours() -> None:
    seconds = [one.total_seconds() for one in waits()[:8]]
    assert seconds == [15, 60, 240, 960, 3840, 7200, 7200, 7200]


def test_a_greylisted_mail_passes_within_half_an_hour() -> None:
    # Servers refuse strangers for one to fifteen minutes.
    assert sum(waits(draw=0)[:4], timedelta()) > timedelta(minutes=15)
    assert sum(waits(draw=1)[:4], timedelta()) < timedelta(minutes=30)


def test_tries_outlast_a_day_without_the_provider() -> None:
    assert sum(waits(), timedelta()) >= timedelta(days=1)
    assert len(waits()) == TRIES - 1


def test_after_the_last_try_it_is_given_up() -> None:
    assert wait(TRIES) is None
    assert wait(TRIES + 1) is None
    assert wait(TRIES, timedelta(minutes=1)) is None
    assert wait(TRIES, timedelta()) is None


def test_a_try_that_never_began_is_made_again_at_once() -> None:
    assert wait(1, timedelta()) == timedelta()
    assert wait(TRIES - 1, timedelta()) == timedelta()


@given(st.integers(-1, TRIES - 1), draws)
def test_a_wait_strays_by_a_quarter_at_most(tries: int, draw: float) -> None:
    middle, found = wait(tries), wait(tries, draw=draw)
    assert middle is not None
    assert found is not None
    assert abs(found - middle) <= middle * SPREAD


@given(st.integers(1, TRIES - 2), draws)
def test_a_later_try_never_waits_less(tries: int, draw: float) -> None:
    now, later = wait(tries, draw=draw), wait(tries + 1, draw=draw)
    assert now is not None
    assert later is not None
    assert now <= later


@given(
    st.integers(-1, TRIES - 1),
    st.timedeltas(timedelta(microseconds=1), timedelta.max),
    draws,
)
def test_a_provider_that_asks_for_longer_gets_it_up_to_a_day(
    tries: int, asked: timedelta, draw: float
) -> None:
    found = wait(tries, asked, draw)
    assert found is not None
    assert min(asked, LONGEST_ASKED) <= found <= max(LONGEST_ASKED * (1 + SPREAD), found)
    assert found <= max(LONGEST_ASKED * (1 + SPREAD), timedelta(hours=3))


@given(st.integers(-1, TRIES - 1), st.timedeltas(timedelta.min, timedelta(microseconds=-1)), draws)
def test_a_wait_below_nothing_is_no_wish(tries: int, asked: timedelta, draw: float) -> None:
    assert wait(tries, asked, draw) == wait(tries, draw=draw)


def test_those_told_the_same_wait_do_not_come_together() -> None:
    asked = timedelta(minutes=10)
    assert wait(1, asked, 0.1) != wait(1, asked, 0.9)
