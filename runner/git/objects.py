"""Objects by name, through one `git cat-file` that stays open."""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import threading
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import IO, NamedTuple

from runner.errors import HostError, InputError
from runner.git.command import cannot_start, said

_REQUEST_BYTES = 4096
"""Requests under way at once: the least a pipe can hold, so that neither side waits for the other for ever."""
_READ_BYTES = 1 << 18
_PATIENCE_SECONDS = 30.0
"""Without a single byte for so long, an answer counts as cut: git 2.39 sends less than it announced, and waits, where
the size in a forged object is wrong."""


class DamagedObjects(HostError):
    """Objects of a repository are missing or broken; the runner's own mirror is then made again."""


class Found(NamedTuple):
    """One object: its name, type and size; `data` is None when it was not asked for or is above the limit."""

    oid: str
    kind: str
    size_bytes: int
    data: bytes | None


class ObjectPipe:
    """A `git cat-file --batch-command` (or `--batch-check`, without contents) that answers many questions.

    Started at the first question. Names go through its standard input, where nothing is an option. The size of an
    object is asked for before its contents, so that nothing above a limit is ever unpacked; and contents are believed
    only when they hash to the name they were asked for by.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, contents: bool, counts: dict[str, int]):
        self._command = [*command, "cat-file", "--batch-command" if contents else "--batch-check"]
        self._env = dict(env)
        self._contents = contents
        self._counts = counts
        self._lock = threading.Lock()
        self._asker: int | None = None
        self._open: tuple[IO[bytes], _Answers] | None = None
        self._complaints = -1
        self._finalizer: weakref.finalize[..., ObjectPipe] | None = None

    def ask(self, names: Sequence[str], limit_bytes: int) -> Generator[Found | None]:
        """The objects in the order asked for, None for one that does not exist.

        Contents above `limit_bytes` are passed over, all of them where it is negative. The pipe belongs to the caller
        until the generator is exhausted or closed, which who may not exhaust it has to do.
        """
        if self._asker == threading.get_ident():
            raise RuntimeError("a question within a question: exhaust the first one before")
        with self._lock:
            self._asker = threading.get_ident()
            try:
                for batch in _batches(names, len("contents ")):
                    yield from self._answers(batch, limit_bytes)
            finally:
                self._asker = None

    def heads_if_idle(self, names: Sequence[str]) -> list[Found | None] | None:
        """Objects without contents, where the process is there and nobody asks it anything now; else None."""
        if self._open is None or not self._lock.acquire(blocking=False):
            return None
        try:
            return [head for batch in _batches(names, len("contents ")) for head in self._answers(batch, -1)]
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._finalizer is not None:
            self._finalizer()
        self._open = self._finalizer = None

    def _answers(self, batch: Sequence[str], limit_bytes: int) -> Iterator[Found | None]:
        """The objects of one batch; the pipe is given up where a caller stops half-way."""
        done = False
        try:
            heads = self._asked("info " if self._contents else "", batch)
            wanted = [head.oid for head in heads if head and self._contents and head.size_bytes <= limit_bytes]
            answers = self._questioned("contents ", wanted) if wanted else None
            for head in heads:
                self._counts["objects"] += 1
                if head is None or answers is None or head.size_bytes > limit_bytes:
                    yield head
                    continue
                answers.line()
                data = answers.take(head.size_bytes + 1)[:-1]
                if _name_of(head, data) != head.oid:
                    raise DamagedObjects(
                        f"object {head.oid} is not what its name says", "`git fsck` names such objects"
                    )
                yield head._replace(data=data)
            done = True
        except (BrokenPipeError, EOFError):
            raise self._died() from None
        finally:
            if not done:  # what is still under way would answer the next question
                self.close()

    def _asked(self, question: str, names: Sequence[str]) -> list[Found | None]:
        answers = self._questioned(question, names)
        return [_head(answers.line()) for _ in names]

    def _questioned(self, question: str, names: Sequence[str]) -> _Answers:
        questions, answers = self._started()
        questions.write("".join(f"{question}{name}\n" for name in names).encode("utf-8", "surrogateescape"))
        questions.flush()
        return answers

    def _started(self) -> tuple[IO[bytes], _Answers]:
        if self._open is None:
            self._open = self._start()
        return self._open

    def _start(self) -> tuple[IO[bytes], _Answers]:
        complaints = os.memfd_create("git-cat-file")
        try:
            process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # Ctrl-C is for the runner, which still has results to record
            )
        except OSError as problem:
            os.close(complaints)
            raise cannot_start(problem) from problem
        self._counts["processes"] += 1
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both pipes were asked for")
        self._complaints = complaints
        self._finalizer = weakref.finalize(self, _end, process, complaints)
        return process.stdin, _Answers(process.stdout.fileno())

    def _died(self) -> HostError:
        text = _last_line(self._complaints)
        self.close()
        if "not our ref" in text or "promisor" in text or "transport 'file' not allowed" in text:
            return DamagedObjects(f"git: {text}", "this is a partial clone: fetch the missing objects first")
        return DamagedObjects(f"git cannot read an object: {text}", "`git fsck` in that repository says more")


class _Answers:
    """What git says, read in large pieces; EOFError when it ends or falls silent within an answer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._buffer = b""
        self._at = 0

    def line(self) -> bytes:
        """The next line, without its end."""
        end = self._buffer.find(b"\n", self._at)
        while end < 0:
            self._buffer = self._buffer[self._at :] + self._more()
            self._at = 0
            end = self._buffer.find(b"\n")
        line = self._buffer[self._at : end]
        self._at = end + 1
        return line

    def take(self, count: int) -> bytes:
        """The next bytes, exactly so many."""
        have = len(self._buffer) - self._at
        if have >= count:
            self._at += count
            return self._buffer[self._at - count : self._at]
        pieces = [self._buffer[self._at :]]
        while have < count:
            pieces.append(self._more())
            have += len(pieces[-1])
        surplus = have - count
        last = pieces[-1]
        pieces[-1] = last[: len(last) - surplus]
        self._buffer, self._at = last, len(last) - surplus
        return b"".join(pieces)

    def _more(self) -> bytes:
        if not self._poll.poll(_PATIENCE_SECONDS * 1000):
            raise EOFError
        data = os.read(self._descriptor, _READ_BYTES)
        if not data:
            raise EOFError
        return data


def too_large(what: str, size_bytes: int, limit_bytes: int) -> InputError:
    """What to say of a blob that is larger than anything the runner reads whole."""
    return InputError(
        f"{what}: {size_bytes:,} bytes, more than the {limit_bytes:,} that are read",
        "large files belong into DVC, not into git",
    )


def _head(line: bytes) -> Found | None:
    """An object without its contents, from a line of git's; None for "... missing" and "... ambiguous"."""
    fields = line.rsplit(b" ", 2)
    if len(fields) != 3 or not fields[2].isdigit():
        return None
    return Found(fields[0].decode(), fields[1].decode(), int(fields[2]), None)


def _name_of(head: Found, data: bytes) -> str:
    algorithm = hashlib.sha256 if len(head.oid) == 64 else hashlib.sha1
    digest = algorithm(b"%s %d\0" % (head.kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _batches(names: Sequence[str], more: int) -> Iterator[Sequence[str]]:
    """The names in pieces, each of which a pipe can hold with `more` bytes before every name."""
    start = used = 0
    for position, name in enumerate(names):
        length = len(name.encode("utf-8", "surrogateescape")) + 1 + more
        if used + length > _REQUEST_BYTES and position > start:
            yield names[start:position]
            start, used = position, 0
        used += length
    if start < len(names):
        yield names[start:]


def _last_line(descriptor: int) -> str:
    text = said(os.pread(descriptor, 1 << 16, 0))
    return text.splitlines()[-1] if text else "it ended without a word"


def _end(process: subprocess.Popen[bytes], complaints: int) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # it ended before we asked it to
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    os.close(complaints)
