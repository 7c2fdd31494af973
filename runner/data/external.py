"""Looking at inputs outside the repository: the digest of a file on this host or behind a URL, by DVC's own rules."""

from __future__ import annotations

from pathlib import Path

from runner.core.digests import folder_digest
from runner.data.faults import host_errors
from runner.errors import HostError


def probe(path: str) -> str:
    """The digest of an input: MD5 of what is on this host, else `etag:…` or `checksum:…` of what a server says.

    Uses the network for URLs. Raises HostError where nothing is there or nobody answers.
    """
    if "://" in path:
        return _remote(path)
    local = Path(path).expanduser()
    if not local.exists():
        raise HostError(f"{path} is not on this host", "an input outside the repository must be where the stage runs")
    with host_errors(f"read {path}"):
        if local.is_file():
            return _md5(local)
        members = [(str(file.relative_to(local)), _md5(file)) for file in sorted(local.rglob("*")) if file.is_file()]
        return folder_digest(members)


def _md5(file: Path) -> str:
    import hashlib

    with open(file, "rb") as source:
        return hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


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
