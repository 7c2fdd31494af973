"""What happens while stages run: one line for each event, and on a terminal a live line of what is running."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable

from runner.core.actions import Action
from runner.core.nouns import Address
from runner.core.plan import Plan
from runner.core.records import RunFacts
from runner.execute.context import Event
from runner.report.style import Style, cut, duration

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LOG_LINES = 20


class Progress:
    """Prints events as they come; safe to call from any thread."""

    def __init__(self, style: Style, say: Callable[[str], None], *, live: bool, verbose: bool = False) -> None:
        self._style = style
        self._say = say
        self._live = live
        self._verbose = verbose
        self._lock = threading.Lock()
        self._running: dict[Address, float] = {}
        self._last_line: dict[Address, str] = {}
        self._done = 0
        self._total = 0
        self._stop = threading.Event()
        self._ticker: threading.Thread | None = None

    def planned(self, plan: Plan) -> None:
        """How much there is to do."""
        counts = plan.counts()
        self._total = sum(counts[action] for action in (Action.RUN, Action.WAIT, Action.PROBE, Action.UNKNOWN))
        parts = [f"{counts[action]} {action.value}" for action in Action if counts[action]]
        state = f"against {plan.state[:12]}" if plan.state else "nothing recorded yet"
        self._print(
            self._style.bold(f"{plan.desired[:12]} ") + self._style.dim(f"{state}: {', '.join(parts) or 'no stages'}")
        )
        if self._live and self._total:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()

    def event(self, event: Event) -> None:
        """One event of an execution."""
        with self._lock:
            if event.address is not None:
                self._note(event.address, event)
        text = self._text(event)
        if text:
            self._print(text)

    def close(self) -> None:
        """Take the live line away."""
        self._stop.set()
        if self._ticker is not None:
            self._ticker.join()
            self._ticker = None

    def _note(self, address: Address, event: Event) -> None:
        if event.kind == "started":
            self._running[address] = time.monotonic()
        elif event.kind == "line":
            self._last_line[address] = event.text
        elif event.kind == "finished":
            self._running.pop(address, None)
            self._last_line.pop(address, None)
            self._done += 1

    def _text(self, event: Event) -> str:
        name = Style.safe(event.address.stage) if event.address else ""
        if event.kind == "started":
            return "" if self._live else self._style.dim(f"  ▶ {name}")
        if event.kind == "finished" and event.run is not None:
            return self._finished(name, event.run)
        if event.kind == "restored":
            letter = self._style.dim("=") if event.text == "keep" else self._style.cyan("↺")
            return f"  {letter} {name}  {self._style.dim(Style.safe(event.text))}"
        if event.kind == "retried":
            return f"  {self._style.yellow('↻')} {name}  {Style.safe(event.text)}"
        if event.kind == "notice":
            return f"  {self._style.yellow('!')} {name + '  ' if name else ''}{Style.safe(event.text)}"
        if event.kind == "line" and self._verbose:
            return self._style.dim(f"    {name} | {Style.safe(event.text)}")
        return ""

    def _finished(self, name: str, run: RunFacts) -> str:
        took = self._style.dim(duration(run.seconds))
        if run.succeeded:
            note = f"  {self._style.dim(Style.safe(run.message))}" if run.message else ""
            return f"  {self._style.green('✓')} {name}  {took}{note}"
        lines = [f"  {self._style.red('✗')} {name}  {took}  {self._style.red(Style.safe(run.message))}"]
        tail = run.log_tail.rstrip("\n").splitlines()[-_LOG_LINES:]
        lines += [self._style.dim("    │ ") + Style.safe(line) for line in tail]
        return "\n".join(lines)

    def _print(self, text: str) -> None:
        with self._lock:
            if self._live:
                self._draw("")
            self._say(text)

    def _tick(self) -> None:
        frame = 0
        while not self._stop.wait(0.1):
            frame += 1
            with self._lock:
                self._draw(self._live_line(frame))
        with self._lock:
            self._draw("")

    @staticmethod
    def _draw(line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone: stages go on without it
            sys.stderr.write("\r\x1b[2K" + line)
            sys.stderr.flush()

    def _live_line(self, frame: int) -> str:
        if not self._running:
            return ""
        now = time.monotonic()
        names = [f"{a.stage} {duration(now - since)}" for a, since in list(self._running.items())[:4]]
        more = f" and {len(self._running) - 4} more" if len(self._running) > 4 else ""
        line = f"{_FRAMES[frame % len(_FRAMES)]} {self._done}/{self._total}  {', '.join(names)}{more}"
        if len(self._running) == 1:
            line += f"  {next(iter(self._last_line.values()), '').strip()}"
        return cut(Style.safe(line), (self._style.width or 80) - 1)  # a line that wraps cannot be taken back
