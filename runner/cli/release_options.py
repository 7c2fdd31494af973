"""The options of `runner gate` and `runner rollback`."""

from __future__ import annotations

import argparse


def add_gate_options(parser: argparse.ArgumentParser) -> None:
    """All of them but the commit, those of every command, and where the trust file is."""
    parser.add_argument("deployment", metavar="DEPLOYMENT", nargs="?", help="only this one (default: all)")
    parser.add_argument(
        "--champion",
        metavar="REV",
        help="the commit whose metrics `vs: champion` compares with (default: the release that stands)",
    )
    parser.add_argument("--junit", metavar="FILE", help="also write the verdicts as JUnit XML, for CI systems")
    parser.add_argument("--markdown", metavar="FILE", help="also append a Markdown summary to a file")


def add_rollback_options(parser: argparse.ArgumentParser) -> None:
    """All of them but those of every command, and where the repository is."""
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


def _version(text: str) -> int:
    plain = text.removeprefix("v")
    if not plain.isascii() or not plain.isdecimal() or not 0 < int(plain) < 10**9:
        raise argparse.ArgumentTypeError(f"{text} is no version, such as 3")
    return int(plain)


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 1000:
        raise argparse.ArgumentTypeError("one line of text, up to 1,000 characters")
    return text.strip()
