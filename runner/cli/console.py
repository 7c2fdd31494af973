"""What a command writes to: results to stdout, everything else to stderr, JSON where it was asked for."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from runner.errors import ExitCode, Finding, HostError, RunnerError
from runner.report.style import Style, plural, without_unseen

_PLAIN = str.maketrans(
    {"▶": ">", "↺": "<", "…": "~", "✗": "x", "✓": "+", "→": "->", "│": "|", "↻": "@", "·": "-", "␣": "_"}
)
"""For terminals that can show nothing but ASCII."""


class Console:
    """The two streams of a command."""

    def __init__(self, *, as_json: bool = False, colour: str = "auto") -> None:
        self.as_json = as_json
        if sys.stdout is None or sys.stderr is None:  # started without them (`>&-`): nobody listens
            null = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
            sys.stdout, sys.stderr = sys.stdout or null, sys.stderr or null
        for stream in (sys.stdout, sys.stderr):
            # Names in git may hold bytes that are no text; showing them escaped is better than failing.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        # Kept, since DVC wraps both streams when it is loaded, and what wraps them takes colours away.
        self._stdout, self._stderr = sys.stdout, sys.stderr
        self.out = Style(_coloured(sys.stdout, colour), _width(sys.stdout))
        self.err = Style(_coloured(sys.stderr, colour), _width(sys.stderr))

    def result(self, text: str, value: Any) -> None:
        """The result: text for people, or the value as JSON. Raises HostError where stdout cannot take it."""
        if self.as_json:
            text = _json(value, self._stdout, indent=1)
        self._print(text if text.endswith("\n") or not text else text + "\n")

    def row(self, value: Any) -> None:
        """One of several results, as JSON on a line of its own, where JSON was asked for."""
        if self.as_json:
            self._print(_json(value, self._stdout) + "\n")

    def line(self, text: str) -> None:
        """One of several results that is a line of text in either form."""
        self._print(text)

    def say(self, text: str) -> None:
        """A line beside the result. Where nobody listens any more it is lost: work goes on."""
        try:
            self._stderr.write(_shown(text, self._stderr) + "\n")
            self._stderr.flush()
        except OSError:
            _discard(self._stderr)

    def error(self, error: RunnerError) -> None:
        """An error for people, or as JSON beside nothing else."""
        if self.as_json:
            self.result("", {"error": _error_json(error)})
        self.say(self.err.red("error: ") + " ".join(Style.safe_lines(error.message)))
        if error.hint:
            self.say("  " + " ".join(Style.safe_lines(error.hint)))

    def findings(self, error: RunnerError, findings: Iterable[Finding], form: str = "text") -> None:
        """What is wrong with the specs, all of it, where it is."""
        from runner.report.findings_view import findings_json, github_annotation  # imported late: rare

        rows = list(findings)
        if self.as_json:
            self.result("", {"error": _error_json(error), "findings": findings_json(rows)})
        elif form == "github":
            self._print("".join(github_annotation(finding) + "\n" for finding in rows))
        for finding in rows:
            # One line each: a line of its own could be a command to the CI system that reads this.
            self.say(self.err.red("error: ") + Style.safe(" ".join(str(finding).splitlines())))
        self.say(f"{plural(len(rows), 'finding')}; nothing was run.")

    def interrupted(self) -> None:
        """Somebody pressed Ctrl-C."""
        if self.as_json:
            body = {"message": "interrupted", "hint": "", "exitCode": int(ExitCode.INTERRUPTED)}
            self.result("", {"error": body})
        self.say("interrupted")

    @property
    def asks(self) -> bool:
        """Whether a person is there to answer: both ends are a terminal, and the result is for people."""
        return bool(sys.stdin and sys.stdin.isatty()) and self.interactive and not self.as_json

    def ask(self, question: str, otherwise: str) -> str:
        """A line of a person's; empty where they only press Enter, which means `otherwise`.

        Raises KeyboardInterrupt where they end the input instead: who answers nothing has agreed to nothing.
        """
        try:
            self._stderr.write(_shown(f"{question} [{otherwise}]: ", self._stderr))
            self._stderr.flush()
            line = sys.stdin.readline()
        except (OSError, UnicodeDecodeError) as problem:
            raise HostError(f"the answer cannot be read: {problem}", "say --yes, or --template NAME") from problem
        if not line.endswith("\n"):
            self.say("")
            raise KeyboardInterrupt
        return line.strip()

    @property
    def in_terminal(self) -> bool:
        """Whether stderr is a terminal, whoever watches it."""
        return self._stderr.isatty()

    @property
    def interactive(self) -> bool:
        """Whether a person watches stderr in a terminal."""
        return self._stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")

    def _print(self, text: str) -> None:
        try:
            self._stdout.write(_shown(text, self._stdout))
            self._stdout.flush()
        except BrokenPipeError:
            _discard(self._stdout)  # whoever read us has seen enough (`runner plan | head`)
        except OSError as problem:
            _discard(self._stdout)
            raise HostError(f"the output cannot be written: {problem.strerror}") from problem


def _json(value: Any, stream: TextIO, indent: int | None = None) -> str:
    """JSON in which whatever is no plain letter is escaped, also for a terminal or a CI system that shows it."""
    text = json.dumps(value, indent=indent, ensure_ascii=not _speaks_unicode(stream)).replace("##[", "#\\u0023[")
    # Line ends are the only ones that `json.dumps` writes outside of texts.
    return "\n".join(without_unseen(line, _escaped) for line in text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    """A letter as JSON writes it in ASCII: one or two escapes."""
    return json.dumps(found[0])[1:-1]


def _error_json(error: RunnerError) -> dict[str, Any]:
    return {"message": error.message, "hint": error.hint, "exitCode": int(error.exit_code)}


def _coloured(stream: TextIO, choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    # NO_COLOR: https://no-color.org
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO) -> int | None:
    """Columns of the terminal; None where the text goes to a file or a program, which get all of it."""
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    try:
        return int(said) if said.isdecimal() and int(said) > 0 else os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def _speaks_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")


def _shown(text: str, stream: TextIO) -> str:
    return text if _speaks_unicode(stream) else text.translate(_PLAIN)


def _discard(stream: TextIO) -> None:
    """Whatever is still written to the stream goes nowhere, also what Python writes when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
