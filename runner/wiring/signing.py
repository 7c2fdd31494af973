"""Signing as the environment of the runner asks for it, and the schemas of what may be signed."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from runner.core.statements import NAMES, Checker, checker
from runner.process.signing import Signing
from runner.resources import schema_file


@contextlib.contextmanager
def signing_of(environ: MutableMapping[str, str]) -> Iterator[Signing | None]:
    """The signing that the environment asks for, ended afterwards; None where it asks for none.

    The key leaves the environment at once. Raises InputError where it cannot be used.
    """
    signing = Signing.of(environ, predicate_schemas)
    try:
        yield signing
    finally:
        if signing is not None:
            signing.close()


def predicate_schemas() -> Mapping[str, Mapping[str, Any]]:
    """The JSON Schema of each kind of statement."""
    return {name: json.loads(schema_file(f"predicate-{name}").read_text(encoding="utf-8")) for name in NAMES}


@functools.cache
def statement_checker() -> Checker:
    """Says what is wrong with a statement; compiled once."""
    return checker(predicate_schemas())
