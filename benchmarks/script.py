"""What every script here has: a command line that takes only what makes sense, a folder to work in, and an end that
leaves nothing behind when it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
MISUSED = 2


def parser_of(document: str | None) -> argparse.ArgumentParser:
    """A parser that says what the first paragraph of a script's docstring says."""
    return argparse.ArgumentParser(description=" ".join((document or "").partition("\n\n")[0].split()))


def at_least_1(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    with contextlib.suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def above_0(text: str) -> float:
    """A finite number greater than 0, for argparse."""
    return _number(text, lambda number: number > 0, "greater than 0")


def not_below_0(text: str) -> float:
    """A finite number from 0 on, for argparse."""
    return _number(text, lambda number: number >= 0, "of at least 0")


def _number(text: str, is_fit: Callable[[float], bool], what: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(float(text)) and is_fit(float(text)):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number {what}")


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """One of these names, in whatever case it is written, for argparse."""

    def name_of(text: str) -> str:
        for name in names:
            if name.casefold() == text.casefold():
                return name
        raise argparse.ArgumentTypeError(f"there is no {text!r}; there are {', '.join(names)}")

    return name_of


def add_only(parser: argparse.ArgumentParser, what: str, names: Sequence[str]) -> None:
    """The option `--only`, for some of these names."""
    said = f"one of: {', '.join(names)}; may be given several times"
    parser.add_argument("--only", action="append", default=[], type=one_of(names), metavar=what, help=said)


def existing_folder(text: str) -> Path:
    """A folder that is there, as an absolute path, for argparse."""
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: {'not a folder' if folder.exists() else 'no such folder'}")
    return folder


def writable_folder(text: str) -> Path:
    """The same of a folder in which files can be made."""
    folder = existing_folder(text)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text}: this folder cannot be written to")
    return folder


@contextlib.contextmanager
def working_folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder, in the system's one for temporary files unless told otherwise, that is removed in any case.

    Whatever ends the work also ends the processes that were started for it, as they would go on writing there.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="bench-", dir=parent)
    except OSError as error:
        print(f"cannot make a folder to work in: {error}", file=sys.stderr)
        raise SystemExit(MISUSED) from None
    try:
        yield Path(made.name)
    except BaseException:
        end_processes()
        raise
    finally:
        _remove(made)


def _remove(made: tempfile.TemporaryDirectory[str]) -> None:
    is_interrupted = False
    for _ in range(50):
        try:
            made.cleanup()
            break
        except KeyboardInterrupt:
            is_interrupted = True
            end_processes()
        except OSError:  # a process that nobody can wait for any more may still write
            time.sleep(0.1)
    if is_interrupted:
        raise KeyboardInterrupt


def run_script(main: Callable[[], int | None]) -> None:
    """Call `main` and end with its exit code, or, where it is interrupted, with one line and 130."""
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, _interrupt)
    try:
        code = main() or 0
    except KeyboardInterrupt:
        end_processes()
        print("interrupted", file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(INTERRUPTED)  # without waiting for threads that would go on
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # before anything is ended: what a process leaves behind when it is killed comes to us, and not to the system
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    raise KeyboardInterrupt


def end_processes() -> None:
    """Kill every process that was started here, with what they started, and wait for them; hear no further Ctrl-C."""
    for number in ENDINGS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, lambda number, frame: None)
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            for child in children.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
