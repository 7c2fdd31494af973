"""`fetch`: data from a file, an http(s) address or a database, brought once for each version that a commit asks for.

It runs as any stage does: once for its arguments and, where it names a file, for the bytes of that file. What it writes
depends on the bytes that it got alone; when it got them, the record of the run says.
"""

from __future__ import annotations

import csv
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runner.core.units import bytes_of, seconds_of
from runner.errors import HostError, InputError
from runner.specs.builtin_stages import sources_of
from runner.stages.program import Call, program
from runner.stages.sources.bounds import Bounds
from runner.stages.sources.hidden import Hidden
from runner.stages.written import write_json

_BLOCK = 1 << 20


def run(call: Call) -> None:
    """Bring the data.

    Raises InputError where the arguments or the data are wrong, HostError where the network or the database fails.
    """
    problems = [f"{message} ({hint})" for _, message, hint in sources_of(call.given)]
    if problems:
        raise InputError("\n  ".join(problems), "`runner stage fetch --help` shows what it takes")
    out = call.outs[0]
    bounds = Bounds(bytes_of(call.get("max_size", "1Gi")) or 0, seconds_of(call.get("timeout", "10m")) or 0.0)
    hidden = Hidden.of(call.given, os.environ)
    with _beside(out) as (path, file):
        _bring(call, file, bounds, hidden, out)
        file.close()
        facts = {"bytes": path.stat().st_size, "rows": _rows(path, out), "sha256": _digest(path)}
        wanted = call.get("sha256")
        if wanted not in (None, facts["sha256"]):
            raise InputError(f"the bytes have the SHA-256 {facts['sha256']}, not {wanted}", "look at what changed")
        path.replace(out)
    write_json(call.metrics, facts)
    counted = "" if facts["rows"] is None else f"{facts['rows']} rows, "
    sys.stdout.write(f"brought {counted}{facts['bytes']} bytes, SHA-256 {facts['sha256']}\n")


def _bring(call: Call, file: BinaryIO, bounds: Bounds, hidden: Hidden, out: Path) -> None:
    if "file" in call.given:
        _copy(Path(call.given["file"]), file, bounds)
    elif "query" in call.given:
        from runner.stages.sources.database import write_rows

        write_rows(hidden, call.given["dsn_env"], call.given["query"], file, out.suffix.lower(), bounds)
    else:
        from runner.stages.sources.web import download

        name = call.get("url_env")
        url = hidden.values[name] if name else call.given["url"]
        secret = {header: hidden.values[held] for header, held in call.get("secret_headers", {}).items()}
        download(url, call.get("headers", {}), secret, file, bounds, hidden)


def _copy(source: Path, file: BinaryIO, bounds: Bounds) -> None:
    try:
        with source.open("rb") as given:
            while block := given.read(_BLOCK):
                bounds.add(len(block))
                file.write(block)
    except FileNotFoundError:
        raise InputError(f"{source}: there is no such file", "name a file that is there") from None
    except IsADirectoryError:
        raise InputError(f"{source}: it is a folder", "name a file") from None
    except OSError as error:
        raise HostError(f"{source}: {error.strerror}", "the runner must be able to read it") from error


@contextmanager
def _beside(out: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file beside the output that is gone at the end, unless it took the output's place."""
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".fetch-", dir=out.parent)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def _umask() -> int:
    """What the user's files are not to be; there is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(path: Path, out: Path) -> int | None:
    """How many rows a table has; None of a file that is none."""
    ending = out.suffix.lower()
    if ending == ".parquet":
        from runner.stages.tables import read_table

        renamed = path.with_suffix(".parquet")
        path.rename(renamed)
        try:
            return len(read_table(renamed))
        finally:
            renamed.rename(path)
    if ending not in (".csv", ".tsv", ".jsonl"):
        return None
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        if ending == ".jsonl":
            return sum(1 for line in file if line.strip())
        csv.field_size_limit(1 << 30)
        try:
            lines = sum(1 for row in csv.reader(_without_nul(file), delimiter="\t" if ending == ".tsv" else ",") if row)
        except csv.Error as error:
            raise InputError(f"{out}: it cannot be read as a table: {error}", "check what was brought") from error
    return max(lines - 1, 0)


def _without_nul(file: Iterator[str]) -> Iterator[str]:
    return (line.replace("\0", "") for line in file)


main = program("fetch", run)

if __name__ == "__main__":
    raise SystemExit(main())
