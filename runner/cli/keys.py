"""`runner keys generate`: a key that signs records."""

from __future__ import annotations

import argparse

from runner.cli.console import Console
from runner.core.dsse import fingerprint, parse_ssh_line
from runner.errors import ExitCode, InputError
from runner.process.signing_keys import BadKey
from runner.process.signing_keys import generate as generate_key
from runner.wiring.clone import working_folder


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
