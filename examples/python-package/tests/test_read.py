from datetime import timedelta

import pytest

from durations import DurationError, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("30 min 1 hour", timedelta(minutes=90)),
        ("2.5 days", timedelta(hours=60)),
        ("250ms", timedelta(milliseconds=250)),
        ("1W", timedelta(weeks=1)),
        ("  -1m 30s ", timedelta(seconds=-90)),
        ("0.1s 0.2s", timedelta(milliseconds=300)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_read(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "there is no duration"),
        ("  ", 2, "there is no duration"),
        ("-", 1, "there is no duration"),
        ("90", 0, "expected a number and a unit"),
        ("1h, 2m", 2, "expected a number and a unit"),
        ("1h -2m", 3, "expected a number and a unit"),
        ("3 fortnights", 2, "unknown unit 'fortnights'"),
        ("3 hours 2 minuets", 10, "did you mean 'minutes'?"),
        ("999999999999 weeks", 0, "longer than"),
    ],
)
def test_mistakes_are_named_and_pointed_at(text, position, message):
    with pytest.raises(DurationError, match=r"\(at character \d+\)$") as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.position == position
