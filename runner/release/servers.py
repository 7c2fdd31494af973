"""Asking model servers what they serve: one small answer of each, within a few seconds, all of them at once."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from runner.core.targets import Asked
from runner.release.staying import opener

PATIENCE_SECONDS = 5.0
"""How long all of them together may take."""
_STEP_SECONDS = 3.0
"""How long one may say nothing."""
_LARGEST_BYTES = 64 << 10


def ask(urls: Sequence[str], patience_seconds: float = PATIENCE_SECONDS) -> dict[str, Asked]:
    """What each server says at `/status`; one that does not answer in time is said to be silent."""
    until = time.monotonic() + patience_seconds
    found: dict[str, Asked] = {}

    def asked(url: str) -> None:
        found[url] = _status(url, until)

    wanted = list(dict.fromkeys(urls))
    # Threads that nobody waits for in the end: one of them may be held up by whoever is at the other end.
    threads = [threading.Thread(target=asked, args=(url,), daemon=True) for url in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    silent = f"no answer within {patience_seconds:g} s"
    return {url: found.get(url) or Asked(url, None, silent) for url in wanted}


def _status(url: str, until: float) -> Asked:
    request = urllib.request.Request(f"{url}/status", headers={"accept": "application/json"})
    try:
        with opener().open(request, timeout=_STEP_SECONDS) as response:
            data = _read(response, until)
    except urllib.error.HTTPError as error:
        with error:
            return Asked(url, None, f"answers {error.code} {error.reason}"[:200])
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return Asked(url, None, f"cannot be asked: {reason}"[:200])
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return Asked(url, None, "its /status is no JSON")
    return Asked(url, value) if isinstance(value, dict) else Asked(url, None, "its /status is no JSON object")


def _read(response: Any, until: float) -> bytes:
    """The body; raises ValueError for one that is too long, or too slow."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(1 << 14):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_BYTES:
            raise ValueError("its /status is too long")
        if time.monotonic() > until:
            raise ValueError("its /status takes too long")
    return b"".join(parts)
