"""From a duration to text."""

from datetime import timedelta

from .units import UNITS


def format_duration(duration: timedelta, parts: int | None = None) -> str:
    """Returns the shortest text that ``parse`` reads back to the same duration, such as ``1h 30m``.

    With ``parts``, only that many of the largest units are written, and what is smaller is cut off:
    ``format_duration(timedelta(seconds=3661), parts=2)`` is ``1h 1m``.
    """
    if parts is not None and parts < 1:
        raise ValueError("parts must be at least 1")
    sign, rest = ("-", -duration) if duration < timedelta(0) else ("", duration)
    written: list[str] = []
    for name, _, length in UNITS:
        amount, rest = divmod(rest, length)
        if amount:
            written.append(f"{amount}{name}")
        if len(written) == parts:
            break
    return sign + " ".join(written) if written else "0s"
