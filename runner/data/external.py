"""Looking at inputs outside the repository: the digest of a file on this host or behind a URL, by DVC's own rules."""

from __future__ import annotations

from pathlib import Path

from runner.data.cache import Cache
from runner.errors import HostError


def probe(path: str, cache: Cache) -> str:
    """The digest of an input: MD5 of what is on this host, else `etag:…` or `checksum:…` of what a server says.

    Uses the network for URLs. `cache` remembers what was hashed: a file is opened again when it has changed. Raises
    HostError where nothing is there or nobody answers.
    """
    if "://" in path:
        return _remote(path)
    local = Path(path).expanduser()
    if not local.exists():
        raise HostError(f"{path} is not on this host", "an input outside the repository must be where the stage runs")
    if not local.is_file() and not local.is_dir():
        raise HostError(f"{path} is neither a file nor a folder", "pipes, sockets and devices hold no data")
    return cache.hash(local, as_it_is=True).md5


def _why(error: BaseException, url: str) -> str:
    """What an error says; where it says the URL alone, what the error behind it says."""
    told = str(error)
    behind = error.__cause__ or error.__context__
    return _why(behind, url) if told in ("", url) and behind is not None else told or type(error).__name__


def _remote(url: str) -> str:
    from dvc.exceptions import DvcException  # imported late: start-up
    from dvc.fs import get_cloud_fs

    try:
        cls, config, place = get_cloud_fs({}, url=url)
        info = cls(**config).info(place)
    except (DvcException, OSError, ValueError, ImportError) as error:
        raise HostError(
            f"{url} cannot be looked at: {_why(error, url)}", "is the network up, and the extra of DVC installed?"
        ) from error
    for name in ("etag", "ETag", "checksum", "md5"):
        value = info.get(name)
        if value:
            kind = "etag" if name.lower() == "etag" and url.startswith(("s3://", "gs://", "azure://")) else "checksum"
            return f"{kind}:{str(value).strip(chr(34))}"
    raise HostError(f"{url} has neither an ETag nor a checksum", "fetch it in a stage of its own instead")
