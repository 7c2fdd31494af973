"""The options of `runner gate`, `runner approve` and `runner rollback`."""

from __future__ import annotations

import argparse
from typing import Any

from runner.cli.options import _command, _rev, _trust, _where, add_common


def add_gate(commands: Any) -> None:
    """The command `gate`."""
    help_ = "judge the gates of deployments by recorded metrics"
    more = (
        "Reads what is recorded and runs nothing. The gates of a proposal are those of the watched branch. Ends with 0 "
        "where all pass, with 3 where one fails, and with 6 where one is inconclusive."
    )
    calls = ("gate", "gate churn-api my-branch", "gate --junit gates.xml --markdown summary.md")
    parser = _command(commands, "gate", help_, "gate", "gate", *calls, more=more)
    parser.add_argument("deployment", metavar="DEPLOYMENT", nargs="?", help="only this one (default: all)")
    parser.add_argument(
        "--champion",
        metavar="REV",
        help="the commit whose metrics `vs: champion` compares with (default: the release that stands)",
    )
    parser.add_argument("--junit", metavar="FILE", help="also write the verdicts as JUnit XML, for CI systems")
    parser.add_argument("--markdown", metavar="FILE", help="also append a Markdown summary to a file")
    _rev(parser)
    _trust(parser)
    add_common(parser)


def add_rollback(commands: Any) -> None:
    """The command `rollback`."""
    more = "The one that stood is not tried again until its model or the spec changes."
    call = "rollback churn-api --reason 'wrong prices since noon'"
    parser = _command(commands, "rollback", "serve an older model again", "rollback", "rollback", call, more=more)
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="name of the Deployment")
    parser.add_argument(
        "--environment", metavar="NAME", help="where; needed where it is released in several environments"
    )
    parser.add_argument(
        "--to",
        metavar="N",
        type=_version,
        help="the version whose model is served again (default: the newest one before, of another model, that was not "
        "rolled back itself)",
    )
    parser.add_argument("--reason", metavar="TEXT", type=_text, required=True, help="why; it is recorded")
    _where(parser, isolation=False)
    _trust(parser)
    add_common(parser)


def _version(text: str) -> int:
    plain = text.removeprefix("v")
    if not plain.isascii() or not plain.isdecimal() or not 0 < int(plain) < 10**9:
        raise argparse.ArgumentTypeError(f"{text} is no version, such as 3")
    return int(plain)


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 1000:
        raise argparse.ArgumentTypeError("one line of text, up to 1,000 characters")
    return text.strip()


def add_approve(commands: Any) -> None:
    """The command `approve`."""
    help_ = "sign that a model may be released"
    more = "What is signed is shown first: model, plan and commit. Any change of one of them voids the signature."
    call = "approve churn-api@0f1c2d3e --role risk"
    calls = (call, f"{call} --reject --reason 'too early'")
    parser = _command(commands, "approve", help_, "approve", "approve", *calls, more=more)
    parser.add_argument(
        "what",
        metavar="DEPLOYMENT@DIGEST",
        type=_named_model,
        help="the model that waits: 8 digits or more of its SHA-256, or of DVC's digest, as `runner plan` shows it",
    )
    parser.add_argument("--role", metavar="ROLE", required=True, help="as what you sign")
    parser.add_argument("--environment", metavar="NAME", help="where; needed where several ask for this role")
    parser.add_argument("--reject", action="store_true", help="sign that it may not be released")
    parser.add_argument("--reason", metavar="TEXT", type=_text, help="why; it is recorded")
    parser.add_argument(
        "--key",
        metavar="FILE",
        help="your Ed25519 key: a file, `ssh-agent`, or `ssh-agent:SHA256:...` (default: the one that the ssh-agent "
        "has, else ~/.ssh/id_ed25519)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask on a terminal")
    _where(parser, isolation=False)
    _trust(parser)
    add_common(parser)


def _named_model(text: str) -> str:
    deployment, at, digest = text.partition("@")
    if not deployment or not at or not digest or not all(letter in "0123456789abcdefABCDEF" for letter in digest):
        raise argparse.ArgumentTypeError(f"{text} is no DEPLOYMENT@DIGEST, such as churn-api@0f1c2d3e")
    return text
