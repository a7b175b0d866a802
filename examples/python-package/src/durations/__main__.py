"""``durations TEXT...``: prints the sum of durations, or the seconds with ``--seconds``."""

import argparse
import sys
from datetime import timedelta

from . import DurationError, format_duration, parse


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="durations", description="Adds durations up.")
    parser.add_argument("durations", nargs="+", metavar="DURATION", help="such as 1h30m, '2.5 days' or 250ms")
    parser.add_argument("--seconds", action="store_true", help="print the sum in seconds")
    options = parser.parse_args(arguments)
    total = timedelta(0)
    for text in options.durations:
        try:
            total += parse(text)
        except DurationError as error:
            print(f"durations: {text!r}: {error}", file=sys.stderr)
            return 1
    print(f"{total.total_seconds():g}" if options.seconds else format_duration(total))
    return 0


if __name__ == "__main__":
    sys.exit(main())
