from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.durations import Duration
from orchestrator.domain.flows import ClockMoment, ClockWindow
from orchestrator.domain.timing import after, at_local, in_window, next_moment, zone_of

ZONES = (
    "Africa/Casablanca",  # goes back for Ramadan
    "America/New_York",
    "America/Nuuk",  # since 2024 the hour before midnight is left out
    "America/Sao_Paulo",  # until 2019 the hour after midnight was left out
    "America/St_Johns",  # until 2011 changed at one minute past midnight
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # changes by half an hour
    "Europe/Dublin",
    "Europe/Helsinki",
    "Pacific/Apia",  # left out 30 December 2011
    "Pacific/Chatham",
    "UTC",
)

zones = st.sampled_from(ZONES).map(ZoneInfo)
seconds = st.integers(1_104_537_600, 2_114_380_800)  # the years 2005 to 2036
moments = st.builds(datetime.fromtimestamp, seconds, st.just(UTC))
clocks = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
fixed = st.integers(1, 400 * 24 * 3600).map(lambda n: Duration(fixed=timedelta(seconds=n)))
calendar = st.builds(Duration, calendar_days=st.integers(1, 800), at=st.one_of(st.none(), clocks))
windows = st.tuples(clocks, clocks).filter(lambda w: w[0] != w[1]).map(lambda w: ClockWindow(*w))
clock_moments = st.builds(
    ClockMoment, clocks, weekday=st.one_of(st.none(), st.integers(0, 6)), on=st.none()
)
dated = st.builds(ClockMoment, clocks, on=st.dates(date(2005, 1, 2), date(2036, 12, 30)))


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold)  # type: ignore[arg-type,misc]


def exists(day: date, clock: time, zone: ZoneInfo) -> bool:
    shown = at_local(day, clock, zone).astimezone(zone)
    return (shown.date(), shown.time()) == (day, clock)


# zones ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Asia/Kolkata", "Asia/Kolkata"),
        (None, "Europe/Helsinki"),
        ("", "Europe/Helsinki"),
        ("Europe/Nowhere", "Europe/Helsinki"),
        ("Europe", "Europe/Helsinki"),
        ("../../etc/passwd", "Europe/Helsinki"),
        ("/etc/localtime", "Europe/Helsinki"),
        ("a\x00b", "Europe/Helsinki"),
        ("x" * 5000, "Europe/Helsinki"),
        ("Ünknown/Zönë\ud800", "Europe/Helsinki"),
    ],
)
def test_a_zone_that_is_missing_or_unknown_is_the_brands(name: str | None, wanted: str) -> None:
    assert zone_of(name, "Europe/Helsinki") == ZoneInfo(wanted)


def test_without_any_known_zone_time_is_utc() -> None:
    assert zone_of("nowhere", "neither") is UTC


# durations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "days", "wanted"),
    [
        pytest.param(
            local("Europe/Helsinki", 2026, 3, 28, 10),
            1,
            local("Europe/Helsinki", 2026, 3, 29, 10),
            id="a spring day of 23 hours",
        ),
        pytest.param(
            local("Europe/Helsinki", 2026, 10, 24, 10),
            1,
            local("Europe/Helsinki", 2026, 10, 25, 10),
            id="an autumn day of 25 hours",
        ),
        pytest.param(
            local("America/New_York", 2026, 3, 7, 2, 30),
            1,
            local("America/New_York", 2026, 3, 8, 3, 30),
            id="half past two is left out: half past three",
        ),
        pytest.param(
            local("America/New_York", 2026, 10, 31, 1, 30),
            1,
            local("America/New_York", 2026, 11, 1, 1, 30, fold=0),
            id="of half past one twice the first",
        ),
        pytest.param(
            local("America/New_York", 2026, 11, 1, 1, 30, fold=1),
            1,
            local("America/New_York", 2026, 11, 2, 1, 30),
            id="from the second half past one",
        ),
        pytest.param(
            local("Australia/Lord_Howe", 2026, 4, 4, 12),
            1,
            local("Australia/Lord_Howe", 2026, 4, 5, 12),
            id="Lord Howe changes by half an hour",
        ),
        pytest.param(
            local("Australia/Lord_Howe", 2026, 10, 3, 2, 15),
            1,
            local("Australia/Lord_Howe", 2026, 10, 4, 2, 45),
            id="Lord Howe leaves out half an hour",
        ),
        pytest.param(
            local("Asia/Kolkata", 2026, 3, 28, 10),
            7,
            local("Asia/Kolkata", 2026, 4, 4, 10),
            id="Kolkata never changes",
        ),
        pytest.param(
            local("Pacific/Apia", 2011, 12, 29, 10),
            1,
            local("Pacific/Apia", 2011, 12, 31, 10),
            id="the day that Samoa left out",
        ),
        pytest.param(
            local("America/Sao_Paulo", 2018, 11, 3, 0, 0),
            1,
            local("America/Sao_Paulo", 2018, 11, 4, 1, 0),
            id="a midnight that is left out",
        ),
        pytest.param(
            local("Europe/Helsinki", 2028, 2, 28, 9),
            1,
            local("Europe/Helsinki", 2028, 2, 29, 9),
            id="a leap day",
        ),
    ],
)
def test_calendar_days_keep_the_local_clock(start: datetime, days: int, wanted: datetime) -> None:
    reached = after(Duration(calendar_days=days), start.astimezone(UTC), start.tzinfo or UTC)
    assert reached == wanted.astimezone(UTC)


def test_a_clock_time_holds_on_the_day_reached() -> None:
    start = local("Europe/Helsinki", 2026, 3, 27, 23, 50)
    duration = Duration(calendar_days=2, at=time(10))
    reached = after(duration, start.astimezone(UTC), ZoneInfo("Europe/Helsinki"))
    assert reached == local("Europe/Helsinki", 2026, 3, 29, 10).astimezone(UTC)


def test_the_zone_decides_which_day_it_is() -> None:
    start = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)  # 2 June in Helsinki, 1 June in New York
    duration = Duration(calendar_days=1, at=time(10))
    helsinki = after(duration, start, ZoneInfo("Europe/Helsinki"))
    assert helsinki == datetime(2026, 6, 3, 7, 0, tzinfo=UTC)
    new_york = after(duration, start, ZoneInfo("America/New_York"))
    assert new_york == datetime(2026, 6, 2, 14, 0, tzinfo=UTC)


def test_plain_days_are_24_hours_each_whatever_the_clocks_do() -> None:
    start = local("Europe/Helsinki", 2026, 3, 28, 10).astimezone(UTC)
    reached = after(Duration(fixed=timedelta(days=1)), start, ZoneInfo("Europe/Helsinki"))
    assert reached - start == timedelta(hours=24)


@given(moments, fixed, zones)
def test_a_fixed_duration_is_as_long_as_it_says(
    start: datetime, duration: Duration, zone: ZoneInfo
) -> None:
    assert after(duration, start, zone) - start == duration.fixed


@given(moments, calendar, zones)
@example(
    local("Pacific/Apia", 2011, 12, 29, 10).astimezone(UTC),
    Duration(calendar_days=1),
    ZoneInfo("Pacific/Apia"),
)
def test_a_calendar_duration_ends_later_on_the_right_day_and_clock(
    start: datetime, duration: Duration, zone: ZoneInfo
) -> None:
    reached = after(duration, start, zone)
    was = start.astimezone(zone)
    day = was.date() + timedelta(days=duration.calendar_days)
    clock = duration.at or was.time().replace(fold=0)
    assert reached > start
    assert reached.tzinfo is UTC
    if exists(day, clock, zone):
        shown = reached.astimezone(zone)
        assert (shown.date(), shown.time().replace(fold=0)) == (day, clock)


@given(moments, st.timedeltas(timedelta(0), timedelta(days=3)), calendar, zones)
def test_whoever_starts_on_a_later_day_ends_no_earlier(
    start: datetime, gap: timedelta, duration: Duration, zone: ZoneInfo
) -> None:
    later = start + gap
    first, second = after(duration, start, zone), after(duration, later, zone)
    if later.astimezone(zone).date() > start.astimezone(zone).date():
        assert second >= first


@given(st.dates(date(2005, 1, 2), date(2036, 12, 30)), clocks, zones)
def test_a_clock_time_that_is_left_out_comes_later_the_length_of_the_change(
    day: date, clock: time, zone: ZoneInfo
) -> None:
    shown = at_local(day, clock, zone).astimezone(zone).replace(tzinfo=None)
    meant = datetime.combine(day, clock)
    assert shown == meant or timedelta(0) < shown - meant <= timedelta(days=1)


# moments and windows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "now", "wanted"),
    [
        (ClockMoment(time(10)), "2026-11-20 09:59", "2026-11-20 10:00"),
        (ClockMoment(time(10)), "2026-11-20 10:00", "2026-11-20 10:00"),
        (ClockMoment(time(10)), "2026-11-20 10:01", "2026-11-21 10:00"),
        (ClockMoment(time(10), weekday=1), "2026-11-20 09:00", "2026-11-24 10:00"),
        (ClockMoment(time(10), weekday=4), "2026-11-20 09:00", "2026-11-20 10:00"),
        (ClockMoment(time(10), weekday=4), "2026-11-20 10:00", "2026-11-20 10:00"),
        (ClockMoment(time(10), weekday=4), "2026-11-20 10:01", "2026-11-27 10:00"),
        (ClockMoment(time(10), weekday=3), "2026-11-20 09:00", "2026-11-26 10:00"),
        (ClockMoment(time(10), on=date(2026, 12, 15)), "2026-11-20 09:00", "2026-12-15 10:00"),
        (ClockMoment(time(10), on=date(2026, 11, 1)), "2026-11-20 09:00", "2026-11-20 09:00"),
        (ClockWindow(time(9), time(20)), "2026-11-20 08:59", "2026-11-20 09:00"),
        (ClockWindow(time(9), time(20)), "2026-11-20 09:00", "2026-11-20 09:00"),
        (ClockWindow(time(9), time(20)), "2026-11-20 19:59", "2026-11-20 19:59"),
        (ClockWindow(time(9), time(20)), "2026-11-20 20:00", "2026-11-21 09:00"),
        (ClockWindow(time(20), time(9)), "2026-11-20 19:59", "2026-11-20 20:00"),
        (ClockWindow(time(20), time(9)), "2026-11-20 23:00", "2026-11-20 23:00"),
        (ClockWindow(time(20), time(9)), "2026-11-20 00:00", "2026-11-20 00:00"),
        (ClockWindow(time(20), time(9)), "2026-11-20 09:00", "2026-11-20 20:00"),
        (ClockWindow(time(20), time(0)), "2026-11-20 00:00", "2026-11-20 20:00"),
    ],
    ids=str,
)
def test_a_moment_waited_for_comes_by_the_recipients_clock(
    moment: ClockMoment | ClockWindow, now: str, wanted: str
) -> None:
    zone = ZoneInfo("Europe/Helsinki")
    reached = next_moment(moment, datetime.fromisoformat(now).replace(tzinfo=zone), zone)
    assert reached.astimezone(zone).replace(tzinfo=None) == datetime.fromisoformat(wanted)


@pytest.mark.parametrize(
    ("minute", "inside"), [("08:59", False), ("09:00", True), ("19:59", True), ("20:00", False)]
)
def test_a_window_holds_its_start_and_not_its_end(minute: str, inside: bool) -> None:
    now = datetime.fromisoformat(f"2026-11-20 {minute}+00:00")
    assert in_window(ClockWindow(time(9), time(20)), now, UTC) is inside
    assert in_window(ClockWindow(time(20), time(9)), now, UTC) is not inside


@given(st.one_of(clock_moments, windows, dated), moments, zones)
def test_a_moment_never_lies_before_now(
    moment: ClockMoment | ClockWindow, now: datetime, zone: ZoneInfo
) -> None:
    assert next_moment(moment, now, zone) >= now


@given(st.one_of(clock_moments, dated), moments, st.timedeltas(timedelta(0)), zones)
@example(
    ClockMoment(time(23, 30)),
    datetime(2024, 3, 31, 0, 0, tzinfo=UTC),
    timedelta(hours=1, minutes=10),
    ZoneInfo("America/Nuuk"),
)
def test_whoever_waits_later_is_woken_no_earlier(
    moment: ClockMoment, now: datetime, gap: timedelta, zone: ZoneInfo
) -> None:
    later = now + min(gap, timedelta(days=30))
    assert next_moment(moment, now, zone) <= next_moment(moment, later, zone)


@given(st.one_of(clock_moments, windows, dated), moments, zones)
def test_a_moment_that_has_come_stays_where_it_is(
    moment: ClockMoment | ClockWindow, now: datetime, zone: ZoneInfo
) -> None:
    reached = next_moment(moment, now, zone)
    assert next_moment(moment, reached, zone) == reached


@given(clock_moments, moments, zones)
def test_the_clock_shows_what_was_asked_for_within_nine_days(
    moment: ClockMoment, now: datetime, zone: ZoneInfo
) -> None:
    reached = next_moment(moment, now, zone)
    assert reached - now < timedelta(days=9)
    shown = reached.astimezone(zone)
    exact = shown.time().replace(fold=0) == moment.at  # not where clocks leave it out
    assert not exact or moment.weekday in (None, shown.weekday())


@given(windows, moments, zones)
def test_a_window_is_entered_at_once_or_at_its_start(
    window: ClockWindow, now: datetime, zone: ZoneInfo
) -> None:
    reached = next_moment(window, now, zone)
    if in_window(window, now, zone):
        assert reached == now
    else:
        starts = [
            at_local(now.astimezone(zone).date() + timedelta(days=n), window.start, zone)
            for n in (-1, 0, 1, 2)
        ]
        assert reached in starts
