"""Reads and writes durations such as ``1h 30m``, ``2.5 days`` or ``250ms``."""

from .read import DurationError, parse
from .write import format_duration

__all__ = ["DurationError", "format_duration", "parse"]
