"""HTTP that follows nobody elsewhere: whoever the spec names is the one who answers."""

from __future__ import annotations

import urllib.request
from typing import Any


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        """None: the redirect itself is the answer, which is an HTTPError."""
        return None


def opener() -> urllib.request.OpenerDirector:
    """Opens URLs and follows no redirect."""
    return urllib.request.build_opener(_Stays)
