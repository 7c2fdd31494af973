"""Moments as text: RFC 3339 in UTC with a `Z`, as records, logs and servers have them."""

from __future__ import annotations

import datetime


def written(moment: datetime.datetime, timespec: str = "milliseconds") -> str:
    """A moment that knows its zone. timespec: see `datetime.isoformat`."""
    return moment.astimezone(datetime.UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def of_epoch(seconds: float, timespec: str = "milliseconds") -> str:
    """A time in seconds since 1970."""
    return written(datetime.datetime.fromtimestamp(seconds, datetime.UTC), timespec)
