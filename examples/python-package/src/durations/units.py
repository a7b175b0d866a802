"""The units that both directions know."""

from datetime import timedelta

#: From the largest to the smallest: the name to write, all names to read, and the length.
UNITS = (
    ("w", ("w", "week", "weeks"), timedelta(weeks=1)),
    ("d", ("d", "day", "days"), timedelta(days=1)),
    ("h", ("h", "hr", "hrs", "hour", "hours"), timedelta(hours=1)),
    ("m", ("m", "min", "mins", "minute", "minutes"), timedelta(minutes=1)),
    ("s", ("s", "sec", "secs", "second", "seconds"), timedelta(seconds=1)),
    ("ms", ("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
    ("us", ("us", "microsecond", "microseconds"), timedelta(microseconds=1)),
)

BY_NAME = {name: length for _, names, length in UNITS for name in names}
