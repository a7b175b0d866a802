import random
from datetime import timedelta

import pytest

from durations import format_duration, parse


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=5400), "1h 30m"),
        (timedelta(days=8, microseconds=7), "1w 1d 7us"),
        (timedelta(seconds=-90), "-1m 30s"),
    ],
)
def test_durations_are_written_without_empty_units(duration, expected):
    assert format_duration(duration) == expected


def test_parts_cut_off_the_smaller_units():
    assert format_duration(timedelta(hours=1, minutes=1, seconds=59), parts=2) == "1h 1m"
    assert format_duration(timedelta(milliseconds=1500), parts=1) == "1s"


def test_less_than_one_part_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        format_duration(timedelta(1), parts=0)


def test_what_is_written_is_read_back():
    numbers = random.Random(20260101)
    for _ in range(2000):
        duration = timedelta(microseconds=numbers.randint(-(10**15), 10**15))
        assert parse(format_duration(duration)) == duration
