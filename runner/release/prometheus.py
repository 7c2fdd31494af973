"""Asks a Prometheus for a number, by its HTTP API."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

from runner.core.budgets import Answer, values_of
from runner.release.staying import opener

_SECONDS = 10.0
_MOST_BYTES = 1 << 20


def ask(url: str, query: str, seconds: float = _SECONDS) -> Answer:
    """What a query comes to now; why there is no answer is told, and raised nowhere."""
    form = urllib.parse.urlencode({"query": query, "timeout": f"{seconds:g}s"}).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/api/v1/query", data=form)
    try:
        with opener().open(request, timeout=seconds) as reply:
            body = reply.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        return Answer(trouble=f"{url} says {error.code}: {_said(error.read(_MOST_BYTES)) or error.reason}")
    except (OSError, ValueError) as error:  # a name that is not known, a refusal, no answer in time; no HTTP
        return Answer(trouble=f"{url} does not answer: {getattr(error, 'reason', None) or error}")
    try:
        return Answer(tuple(values_of(json.loads(body)["data"])))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Answer(trouble=f"{url} gives {error if isinstance(error, ValueError) else 'no answer of a Prometheus'}")


def _said(body: bytes) -> str:
    """What Prometheus says is wrong, of a query for one."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return said[:300] if isinstance(said, str) else ""
