"""What a command writes to: results to stdout, everything else to stderr, JSON where it was asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from runner.errors import Finding, RunnerError
from runner.report.style import Style, plural


class Console:
    """The two streams of a command."""

    def __init__(self, *, as_json: bool = False, colour: str = "auto") -> None:
        self.as_json = as_json
        self.out = Style(_coloured(sys.stdout, colour))
        self.err = Style(_coloured(sys.stderr, colour))

    def result(self, text: str, value: Any) -> None:
        """The result: text for people, or the value as JSON."""
        if self.as_json:
            json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
            sys.stdout.write("\n")
        else:
            sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")

    def say(self, text: str) -> None:
        """A line beside the result."""
        print(text, file=sys.stderr, flush=True)

    def error(self, error: RunnerError) -> None:
        """An error for people, or as JSON beside nothing else."""
        if self.as_json:
            value = {"error": {"message": error.message, "hint": error.hint, "exitCode": int(error.exit_code)}}
            self.result("", value)
        self.say(self.err.red("error: ") + Style.safe(error.message))
        if error.hint:
            self.say("  " + Style.safe(error.hint))

    def findings(self, findings: Iterable[Finding], form: str = "text") -> None:
        """What is wrong with the specs, all of it, where it is."""
        from runner.report.findings_view import findings_json, github_annotation

        rows = list(findings)
        if self.as_json:
            self.result("", {"findings": findings_json(rows)})
        for finding in rows:
            if form == "github":
                print(github_annotation(finding))
            self.say(self.err.red("error: ") + Style.safe(str(finding)))
        self.say(f"{plural(len(rows), 'finding')}; nothing was run.")

    @property
    def interactive(self) -> bool:
        """Whether a person watches stderr in a terminal."""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def _coloured(stream: TextIO, choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    # NO_COLOR: https://no-color.org
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
