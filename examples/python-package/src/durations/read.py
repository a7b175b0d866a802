"""From text to a duration."""

import re
from datetime import timedelta
from difflib import get_close_matches
from fractions import Fraction

from .units import BY_NAME

_PART = re.compile(r"\s*(?P<amount>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]+)\s*")
_MICROSECOND = timedelta(microseconds=1)


class DurationError(ValueError):
    """A text that is no duration; ``position`` is the offset of the first character not understood."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position


def parse(text: str) -> timedelta:
    """Returns the duration that ``text`` names.

    Parts are added up, in any order and with any spacing: ``1h30m`` is ``30 min 1 hour``. A leading minus sign makes
    the whole duration negative. Amounts are exact decimals, and the sum is rounded to a microsecond.

    Raises DurationError when the text is empty, has a part without a unit, an unknown unit, or is too long a time.
    """
    start = len(text) - len(text.lstrip())
    negative = text.startswith("-", start)
    position = start + negative
    if not text[position:].strip():
        raise DurationError("there is no duration", position)
    microseconds = Fraction(0)
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise DurationError("expected a number and a unit, as in 90s", position)
        microseconds += Fraction(part["amount"]) * (_length(part) // _MICROSECOND)
        position = part.end()
    try:
        total = timedelta(microseconds=round(microseconds))
    except OverflowError:
        raise DurationError("the duration is longer than 999999999 days", start) from None
    return -total if negative else total


def _length(part: re.Match[str]) -> timedelta:
    unit = part["unit"]
    length = BY_NAME.get(unit) or BY_NAME.get(unit.lower())
    if length is None:
        close = get_close_matches(unit.lower(), BY_NAME, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise DurationError(f"unknown unit {unit!r}{hint}", part.start("unit"))
    return length
