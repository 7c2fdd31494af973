"""`runner keys generate|show`: keys that sign records."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.console import Console
from runner.core.dsse import fingerprint, parse_ssh_line, ssh_line
from runner.errors import ExitCode, InputError
from runner.process.signing_keys import BadKey, file_key
from runner.process.signing_keys import generate as generate_key
from runner.wiring.clone import working_folder
from runner.wiring.signing import signing_of
from runner.wiring.trust_file import trust_file

if TYPE_CHECKING:
    from runner.audit.trust import Trust


def generate(arguments: argparse.Namespace, console: Console) -> int:
    """Make a key in a new file and print its public line, for the trust file."""
    file = working_folder(arguments.folder) / arguments.file
    try:
        line = generate_key(file)
    except BadKey as error:
        raise InputError(f"the key cannot be made: {error}", error.hint) from error
    keyid = fingerprint(parse_ssh_line(line))
    console.result(line + "\n", {"schema": 1, "file": str(file), "publicKey": line, "keyid": keyid})
    console.say(f"The key {keyid} is in {file}; only its owner may read it. Its public line belongs into a trust file.")
    return ExitCode.DONE


def show(arguments: argparse.Namespace, console: Console) -> int:
    """Print the public line of a key: of the one in a file, or of the one that the runner is to sign with."""
    folder = working_folder(arguments.folder)
    if arguments.file is not None:
        try:
            public_key = file_key(folder / arguments.file).public_key
        except BadKey as error:
            raise InputError(f"the key cannot be read: {error}", error.hint) from error
    else:
        with signing_of(dict(os.environ)) as signing:
            if signing is None:
                raise InputError(
                    "no signing key is configured",
                    "name a file with a key, or set RUNNER_SIGNING_KEY; docs/audit.md says how",
                )
            public_key = signing.public_key
    line, keyid = ssh_line(public_key), fingerprint(public_key)
    file = trust_file(folder, os.environ, arguments.trust)
    rows = _trusted_with(public_key, _read(file) if file is not None else None)
    value = {"schema": 1, "publicKey": line, "keyid": keyid, "trustFile": str(file) if file is not None else None}
    console.result(line + "\n", value | {"trusted": rows})
    console.say(f"The key is {keyid}.")
    for row in rows or ():
        until = f"to {row['to']}" if row["to"] is not None else "on"
        approves = f" for {', '.join(row['approves'])}" if "approves" in row else ""
        console.say(f"{file} lets it sign as {', '.join(row['roles'])}{approves}, from record {row['from']} {until}.")
    if rows == []:
        console.say(f"{file} does not name it: add the line there, with `roles` and `from`.")
    return ExitCode.DONE


def _read(file: Path) -> Trust:
    from runner.audit.trust import read_trust  # imported late: start-up

    return read_trust(file)


def _trusted_with(public_key: bytes, trust: Trust | None) -> list[dict[str, Any]] | None:
    """What a trust file lets a key do, a row for each row of the file; None without a file."""
    if trust is None:
        return None
    return [
        {"roles": list(key.roles), "from": key.first, "to": key.last}
        | ({"approves": list(key.approves)} if key.approves else {})
        for key in trust.keys
        if key.public_key == public_key
    ]
