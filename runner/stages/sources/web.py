"""Downloads over http and https: bounded, whole or not at all, and never led to anything but http and https."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO, BinaryIO, NoReturn
from urllib.parse import urlsplit

from runner.errors import HostError, InputError, RunnerError
from runner.stages.sources.bounds import Bounds
from runner.stages.sources.hidden import Hidden

_BLOCK = 1 << 16
_SILENCE_SECONDS = 60.0
"""How long a server may say nothing."""
_MOST_REDIRECTS = 5
_LATER = "the same call may work later"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https alone, never from https to http, and takes secrets along to the same host alone."""

    max_redirections = _MOST_REDIRECTS

    def __init__(self, secret_headers: Mapping[str, str]) -> None:
        self._secret_headers = secret_headers

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in ("http", "https") or not after.hostname:
            raise InputError(f"the address leads to `{after.scheme}:`, not to http or https", "name another address")
        if before.scheme == "https" and after.scheme == "http":
            raise InputError("the address leads from https to http", "name an address that stays with https")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and (before.scheme, before.netloc) == (after.scheme, after.netloc):
            for name, value in self._secret_headers.items():
                request.add_unredirected_header(name, value)
        return request


def download(
    url: str,
    headers: Mapping[str, str],
    secret_headers: Mapping[str, str],
    file: BinaryIO,
    bounds: Bounds,
    hidden: Hidden,
) -> None:
    """Write the body of an address to a file.

    Raises InputError where the address, its answer or where it leads is wrong, HostError where it cannot be reached.
    No message holds a secret.
    """
    try:
        _download(_request(url, headers, secret_headers), secret_headers, file, bounds)
    except RunnerError as error:
        raise type(error)(hidden.clean(error.message), error.hint) from None
    except urllib.error.HTTPError as error:
        error.close()
        _answered(error.code)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        told = f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
        raise HostError(f"the address cannot be reached: {hidden.clean(told)}", _LATER) from None
    except ValueError:  # a header or an address that cannot be sent; its words quote it
        raise InputError("the address or a header cannot be sent", "look for line breaks and spaces in them") from None


def _request(url: str, headers: Mapping[str, str], secret_headers: Mapping[str, str]) -> urllib.request.Request:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError("the address is none", "write https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError("the address is not of http or https", "write https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise InputError("the address holds a user", "send it as a header: `secret_headers: {Authorization: NAME}`")
    request = urllib.request.Request(
        url, headers={"User-Agent": "gitops-runner", "Accept-Encoding": "identity", **headers}
    )
    for name, value in secret_headers.items():
        request.add_unredirected_header(name, value)
    return request


def _download(
    request: urllib.request.Request, secret_headers: Mapping[str, str], file: BinaryIO, bounds: Bounds
) -> None:
    opener = urllib.request.OpenerDirector()  # not build_opener: that one also opens file:, ftp: and data:
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(secret_headers),
    ):
        opener.add_handler(handler)
    with opener.open(request, timeout=min(_SILENCE_SECONDS, bounds.left())) as answer:
        if answer.status != 200:
            _answered(answer.status)
        length = answer.headers.get("Content-Length", "")
        got = 0
        while block := answer.read1(_BLOCK):
            bounds.add(len(block))
            got += len(block)
            file.write(block)
    if length.isdecimal() and got != int(length):
        raise HostError(f"the answer broke off after {got} of {length} bytes", _LATER)


def _answered(status: int) -> NoReturn:
    if 300 <= status < 400:
        message = "the address leads to what is neither http nor https, or in a circle, or too far"
        raise InputError(message, "name the address where the data is") from None
    reason = http.client.responses.get(status, "no known answer")
    if status >= 500 or status in (408, 425, 429):
        raise HostError(f"the server answered {status} ({reason})", _LATER) from None
    raise InputError(f"the server answered {status} ({reason})", "check the address, and what it asks for") from None
