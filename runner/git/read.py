"""Reading a repository by plumbing commands: revisions, trees, blobs, commits, and what the clone is like."""

from __future__ import annotations

import codecs
import os
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from runner.errors import HostError, InputError
from runner.git.command import (
    READ_SWITCHES,
    Answer,
    cannot_start,
    checked_oid,
    config_variables,
    environment,
    is_branch,
    is_oid,
    path_text,
    run,
)
from runner.git.index import any_differs
from runner.git.objects import DamagedObjects, Found, ObjectPipe, too_large
from runner.git.tree import SUBMODULE, SYMLINK, Part, Tree, parse_tree, parsed_changes
from runner.patterns import regex
from runner.values import dataclass

BLOB_LIMIT_BYTES = 256 << 20
"""Blobs above this are streamed or refused, never read whole."""
_TREE_LIMIT_BYTES = 32 << 20
_COMMIT_LIMIT_BYTES = 4 << 20
"""A folder of half a million files, and a message longer than any book: nobody has more by honest means."""
_SMALL_BYTES = 64 << 10
_PATIENCE_SECONDS = 120.0
_KEPT_ENTRIES = 200_000
"""So many entries of trees are remembered, some 300 bytes each: whoever goes on for weeks sees new trees every day."""
_FEW_TREES, _MANY_TREES = 16, 128
"""Names of trees: the last few are remembered however large they are, and more than many never."""
_CHARSET = regex(
    r"(utf-(8|16|32)|ascii|iso(8859|2022)|cp|koi8|mac|gb|big5|euc|shift|hz|johab|tis-620|kz1048|ptcp154|hp-roman8)[\w-]*"
)
"""Of the names that Python gives its codecs, those of character sets."""
"""Parsed tree objects that are kept for the next tree that shares them."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as git holds it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: str
    """`Name <address>`."""
    committed_at: int
    """Seconds since 1970, as the committer claims."""
    message: str


class Reader:
    """One repository, read only: bare or not, a linked worktree, shallow, SHA-1 or SHA-256.

    Nothing of the repository is run (no hook, filter or file-system monitor) and nothing is fetched. Sees what others
    write while it is open, since it caches by object name alone.
    """

    def __init__(self, git_dir: Path, alternates: Sequence[Path] = (), worktree: Path | None = None) -> None:
        self.git_dir = git_dir.absolute()
        self.common_dir = _common_dir(self.git_dir)
        self.worktree = worktree
        self.counts: dict[str, int] = {"processes": 0, "objects": 0}
        """Git processes started and objects read, for the guards against regressions."""
        self.own_settings: Mapping[str, str] | None = None
        """The repository's own configuration, where somebody has read it already."""
        self._env = environment(alternates)
        self._command = ["git", *READ_SWITCHES, f"--git-dir={self.git_dir}"]
        self._contents = ObjectPipe(self._command, self._env, contents=True, counts=self.counts)
        self._headers = ObjectPipe(self._command, self._env, contents=False, counts=self.counts)
        self._parts: dict[str, Part] = {}
        self._entries = 0
        """Of all parts together."""
        self._trees: dict[str, Tree] = {}
        self._commits: dict[str, Commit] = {}

    @classmethod
    def discover(cls, start: Path, alternates: Sequence[Path] = ()) -> Reader:
        """The repository that a folder lies in, or that it is; InputError when there is none."""
        if not start.is_dir():
            raise InputError(f"{start}: no such folder")
        git_dir, worktree = _discovered(start)
        reader = cls(git_dir, alternates, worktree)
        reader.counts["processes"] += 1
        return reader

    def close(self) -> None:
        """End the processes that are open; the reader may be used again."""
        self._contents.close()
        self._headers.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Revisions and refs

    def resolve(self, rev: str) -> str:
        """The commit that a revision stands for, as a full name; InputError when it stands for none."""
        found = self._find(rev + "^{commit}", rev)
        if found is None:
            raise self._unknown_revision(rev)
        self._keep_commit(found)
        return found.oid

    def ref(self, full_name: str) -> str | None:
        """What a ref (`refs/…`) points at, an annotated tag followed to its commit; None when it does not exist."""
        return self._loose_branch(full_name) or self.refs(full_name).get(full_name)

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Refs by full name below folders (`refs/heads/`) or of exactly these names, in one process.

        An annotated tag is given as what it stands for.
        """
        for prefix in prefixes:
            if not prefix.startswith("refs/"):
                raise InputError(f"{prefix!r} is not the full name of a ref", "it starts with refs/")
        patterns = [prefix.rstrip("/") for prefix in prefixes]
        form = "--format=%(refname)%00%(objectname)%00%(*objectname)"
        answer = self._run("for-each-ref", form, "--", *patterns)
        if answer.code:
            raise self._failed(answer)
        refs: dict[str, str] = {}
        for line in answer.out.splitlines():
            name, oid, peeled = line.split(b"\0")
            refs[path_text(name)] = (peeled or oid).decode()
        return refs

    def current_branch(self) -> str | None:
        """Name of the branch that is checked out, None when HEAD is detached."""
        text = small_file(self.git_dir / "HEAD", follow=False).strip()
        if is_oid(text.decode("utf-8", "replace")):
            return None
        target = text.removeprefix(b"ref: ")
        if target == text or target == b"refs/heads/.invalid":  # another backend of refs: only git knows
            target = self._run("symbolic-ref", "--quiet", "HEAD").out.strip()
        return path_text(target.removeprefix(b"refs/heads/")) if target.startswith(b"refs/heads/") else None

    def head(self) -> str:
        """The commit that is checked out; InputError where there is none yet."""
        branch = self.current_branch()
        found = None if branch is None else self._loose_branch(f"refs/heads/{branch}")
        return found or self.resolve("HEAD")

    # Objects

    def tree(self, commit_or_tree: str) -> Tree:
        """The tree of a commit, by the full name of either."""
        known = self._trees.get(checked_oid(commit_or_tree))
        if known is not None:
            return known
        if (commit := self._commits.get(commit_or_tree)) is not None:
            tree = self._trees.get(commit.tree) or self._read_tree(commit.tree)
        else:
            tree = self._read_tree(commit_or_tree)
        self._trees[commit_or_tree] = self._trees[tree.oid] = tree
        self._forget_old_trees()
        return tree

    def blob(self, oid: str, limit_bytes: int = BLOB_LIMIT_BYTES) -> bytes:
        """The bytes of one blob; InputError above the limit, DamagedObjects when there is no such object."""
        return self.blobs([oid], limit_bytes)[oid]

    def blobs(self, oids: Iterable[str], limit_bytes: int = BLOB_LIMIT_BYTES) -> dict[str, bytes]:
        """The bytes of many blobs, by their names, asked for together."""
        wanted = list(dict.fromkeys(oids))
        with self.each_blob(wanted, limit_bytes=limit_bytes) as blobs:
            return {oid: self._data(oid, found, limit_bytes) for oid, found in blobs}

    @contextmanager
    def each_blob(self, oids: Sequence[str], *, limit_bytes: int) -> Iterator[Iterator[tuple[str, Found | None]]]:
        """Blobs in the order asked for, one in memory at a time; the contents are None above the limit.

        Nothing else may be asked of this reader by the same thread while the block lasts. Its end gives the pipe back,
        also where an error ended it: an iterator alone would keep it for as long as somebody keeps the error.
        """
        for oid in oids:
            checked_oid(oid)
        with closing(self._contents.ask(oids, limit_bytes)) as found:
            yield zip(oids, found, strict=True)

    def size(self, oid: str) -> int:
        """Bytes of an object, without reading it."""
        found = self._header(oid)
        if found is None:
            raise _missing(oid)
        return found.size_bytes

    def exists(self, oid: str) -> bool:
        """Whether the object is here; never asks the network."""
        return self._header(oid) is not None

    def has_commit(self, oid: str) -> bool:
        """Whether a commit is here, or was when it was read before."""
        return oid in self._commits or self.exists(oid)

    def stream(self, oid: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The bytes of a blob of any size, in chunks."""
        try:
            process = subprocess.Popen(
                [*self._command, "cat-file", "blob", checked_oid(oid)],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as problem:
            raise cannot_start(problem) from problem
        self.counts["processes"] += 1
        with process:
            if process.stdout is None:
                raise AssertionError("the pipe was asked for")
            while chunk := process.stdout.read(chunk_bytes):
                yield chunk
        if process.returncode:
            raise _missing(oid)

    def file(self, commit: str, path: str, limit_bytes: int = BLOB_LIMIT_BYTES) -> bytes | None:
        """The bytes of a regular file at a commit; None when the path holds none (no symlink is followed)."""
        entry = self.tree(commit).get(path)
        if entry is None or entry.mode in (SYMLINK, SUBMODULE):
            return None
        found = next(iter(self._answers(self._contents, [entry.oid], limit_bytes)))
        return self._data(path, found, limit_bytes)

    def commit(self, sha: str) -> Commit:
        """One commit by its full name; InputError when there is none."""
        known = self._commits.get(checked_oid(sha))
        if known is not None:
            return known
        found = self._find(sha, sha)
        if found is None or found.kind != "commit":
            raise InputError(f"{sha} is not a commit of this repository", self._shallow_hint())
        return self._keep_commit(found)

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether a commit is reachable from another, or is it; both by full name, and both must be here."""
        if checked_oid(ancestor) == checked_oid(descendant):
            return True
        answer = self._run("merge-base", "--is-ancestor", ancestor, descendant)
        if answer.code not in (0, 1):
            raise self._failed(answer)
        return answer.code == 0

    def is_reachable(self, sha: str, *prefixes: str) -> bool:
        """Whether a commit is reachable from any ref below these folders; False when it is not here at all."""
        if not self.exists(sha):
            return False
        answer = self._run(
            "for-each-ref", "--count=1", "--contains", sha, "--", *(name.rstrip("/") for name in prefixes)
        )
        if answer.code:
            raise self._failed(answer)
        return bool(answer.out)

    def log_first_parent(self, sha: str, limit: int) -> list[Commit]:
        """The newest commits along first parents, from this one on; ends early where a shallow clone does."""
        commits = [self.commit(sha)]
        while len(commits) < limit and commits[-1].parents:
            parent = commits[-1].parents[0]
            found = None if parent in self._commits else self._find(parent, parent)
            if found is not None:
                self._keep_commit(found)
            elif parent not in self._commits and self.is_shallow():
                break
            commits.append(self.commit(parent))
        return commits[:limit]

    def commits_saying(self, sha: str, pattern: str, limit: int, *, first_parent: bool = False) -> list[str]:
        """The newest commits, from this one on, with a line of the message that a pattern matches.

        Along all parents, or first parents alone. `pattern` is a basic regular expression of git's.
        """
        along = ["--first-parent"] if first_parent else []
        answer = self._run("rev-list", *along, f"--max-count={limit}", f"--grep={pattern}", checked_oid(sha), "--")
        if answer.code:
            raise self._failed(answer)
        return path_text(answer.out).split()

    def first_parents(self, sha: str) -> list[str]:
        """All commits along first parents, from this one on, as far back as they are here."""
        answer = self._run("rev-list", "--first-parent", checked_oid(sha), "--")
        if answer.code:
            raise self._failed(answer)
        return path_text(answer.out).split()

    def at(self, pairs: Sequence[tuple[str, str]]) -> list[str | None]:
        """Ids of what lies at paths of commits, (commit, path), asked for together; None where nothing does."""
        names = [f"{checked_oid(commit)}:{path}" for commit, path in pairs]
        return [found.oid if found is not None else None for found in self._heads(names)]

    def tree_changes(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, str | None]]:
        """For pairs of trees, old and new: the paths that differ, with the id of what is there now, None if nothing."""
        asked = "".join(f"{checked_oid(old)} {checked_oid(new)}\n" for old, new in pairs).encode()
        command = [*self._command[1:], "diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"]
        self.counts["processes"] += 1
        answer = run(command, env=self._env, cwd=self.git_dir, stdin=asked)
        if answer.code:
            raise self._failed(answer)
        return list(parsed_changes(answer.out))

    def empty_tree(self) -> str:
        """The name of the tree without entries; git knows it without its being stored."""
        answer = self._run("hash-object", "-t", "tree", "/dev/null")
        if answer.code:
            raise self._failed(answer)
        return path_text(answer.out).strip()

    def fsck(self, sha: str) -> str:
        """What `git fsck` says of everything that a commit stands on; empty where all is sound."""
        answer = self._run("fsck", "--full", "--no-dangling", "--no-progress", checked_oid(sha))
        return "\n".join(filter(None, [path_text(answer.out).strip(), answer.error])) if answer.code else ""

    # The clone itself

    def remote_url(self, name: str = "origin") -> str | None:
        """The URL of a remote as configured, a relative path made absolute; None when there is no such remote."""
        url = self._configured(f"remote.{name}.url")
        if url is None:
            return None
        if "://" in url or ":" in url.split("/", 1)[0] or url.startswith("-"):
            return url
        return os.path.normpath(os.path.join(self.worktree or self.git_dir, url))

    def _configured(self, key: str) -> str | None:
        if self.own_settings is not None:
            return self.own_settings.get(key)
        answer = self._run("config", "-z", "--get", key)
        return None if answer.code else path_text(answer.out.rstrip(b"\0"))

    def own_text(self, name: str) -> str:
        """The text of a small file of git's own, such as `refs/remotes/origin/HEAD`; empty where there is none."""
        return path_text(small_file(self.common_dir / name, follow=False)).strip()

    def is_shallow(self) -> bool:
        """Whether history ends before its beginning here, as in clones of most CI systems."""
        try:
            return (self.common_dir / "shallow").stat().st_size > 0
        except OSError:
            return False

    def is_dirty(self) -> bool:
        """Whether tracked files in the worktree differ from HEAD; False where there is no worktree.

        `git status` would run the clean filters that the clone's configuration names, so the index and the files are
        compared here: by size and time, and by their bytes where only the time differs.
        """
        if self.worktree is None:
            return False
        staged = self._run("diff-index", "--cached", "--quiet", "--ignore-submodules=all", "HEAD", "--")
        if staged.code:
            return True
        listed = self._run("ls-files", "--stage", "--debug", "-z")
        if listed.code:
            raise self._failed(listed)
        return any_differs(self.worktree, listed.out)

    # How

    def _run(self, *arguments: str, cwd: Path | None = None) -> Answer:
        self.counts["processes"] += 1
        words = [*self._command[1:], *arguments]
        return run(words, env=self._env, cwd=cwd or self.git_dir, timeout_seconds=_PATIENCE_SECONDS)

    def _loose_branch(self, full_name: str) -> str | None:
        """A branch that has a file of its own, without a process: git replaces such files whole and asks them first.

        None for everything else: packed refs, other kinds of refs, another backend.
        """
        name = full_name.removeprefix("refs/heads/")
        if name == full_name or not is_branch(name):
            return None
        text = self.own_text(full_name)
        # What git would call a broken ref is left to git.
        settings = self.own_settings or {}
        characters = 64 if settings.get("extensions.objectformat", "").lower() == "sha256" else 40
        return text if is_oid(text) and text.strip("0") and len(text) == characters else None

    def _answers(self, pipe: ObjectPipe, names: Sequence[str], limit_bytes: int) -> list[Found | None]:
        return list(pipe.ask(names, limit_bytes))

    def _find(self, expression: str, shown: str) -> Found | None:
        if not shown or any(character in expression for character in "\n\0"):
            raise InputError(f"{shown!r} is not a revision")
        found = self._answers(self._contents, [expression], _COMMIT_LIMIT_BYTES)[0]
        if found is not None and found.data is None and found.kind == "tree":
            found = self._answers(self._contents, [found.oid], _TREE_LIMIT_BYTES)[0]
        if found is not None and found.data is None and found.kind != "blob":
            limit_bytes = _TREE_LIMIT_BYTES if found.kind == "tree" else _COMMIT_LIMIT_BYTES
            raise too_large(f"the {found.kind} {found.oid}", found.size_bytes, limit_bytes)
        return found

    def _header(self, oid: str) -> Found | None:
        return self._heads([checked_oid(oid)])[0]

    def _heads(self, names: Sequence[str]) -> list[Found | None]:
        """Objects without contents: by the process that gives contents, where it is there and has nothing to do."""
        heads = self._contents.heads_if_idle(names)
        return self._answers(self._headers, names, -1) if heads is None else heads

    def _data(self, what: str, found: Found | None, limit_bytes: int) -> bytes:
        if found is None:
            raise _missing(what)
        if found.data is None:
            raise too_large(what, found.size_bytes, limit_bytes)
        return found.data

    def _keep_commit(self, found: Found) -> Commit:
        commit = self._commits[found.oid] = _parse_commit(found.oid, found.data or b"")
        return commit

    def _read_tree(self, oid: str) -> Tree:
        found = self._find(oid + "^{tree}", oid)
        if found is None:
            raise DamagedObjects(f"{oid} has no tree in this repository", self._shallow_hint())
        root = parse_tree(found.data or b"", len(found.oid) // 2)
        return Tree(found.oid, root, self._parts_of)

    def _parts_of(self, oids: Sequence[str]) -> Mapping[str, Part]:
        if self._entries > _KEPT_ENTRIES:
            self._parts.clear()
            self._entries = 0
        missing = [oid for oid in oids if oid not in self._parts]
        for oid, found in zip(missing, self._answers(self._contents, missing, _TREE_LIMIT_BYTES), strict=True):
            if found is None or found.kind != "tree":
                raise _missing(oid)
            if found.data is None:
                raise too_large(f"the tree {oid}", found.size_bytes, _TREE_LIMIT_BYTES)
            part = self._parts[oid] = parse_tree(found.data or b"", len(oid) // 2)
            self._entries += 1 + len(part.files) + len(part.folders)
        return self._parts

    def _forget_old_trees(self) -> None:
        """The oldest first: what a reconcile works with are the last ones."""
        kept = sum(tree.listed for tree in self._trees.values())
        for name in list(self._trees)[:-_FEW_TREES]:
            if len(self._trees) <= _MANY_TREES and kept <= _KEPT_ENTRIES:
                return
            kept -= self._trees.pop(name).listed

    def _unknown_revision(self, rev: str) -> InputError:
        names = [name.split("/", 2)[2] for name in self.refs("refs/heads/", "refs/remotes/", "refs/tags/")]
        if not names and rev in ("HEAD", "@"):
            return InputError("the repository has no commit yet", "commit the specs first: git add, git commit")
        if rev in ("HEAD", "@"):
            branch = self.current_branch()
            return InputError(f"branch {branch} has no commit yet", "commit to it, or name another revision")
        import difflib  # imported late: start-up

        close = difflib.get_close_matches(rev, names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else self._shallow_hint() or "`git fetch` first?"
        return InputError(f"unknown revision {rev!r}", hint)

    def _shallow_hint(self) -> str:
        return "this clone is shallow: `git fetch --unshallow` (CI: fetch-depth: 0)" if self.is_shallow() else ""

    def _failed(self, answer: Answer) -> HostError:
        return DamagedObjects(
            f"{self.git_dir}: {answer.error or f'git ended with {answer.code}'}", self._shallow_hint()
        )


def _discovered(start: Path) -> tuple[Path, Path | None]:
    env = environment()

    def asked(more: Mapping[str, str]) -> Answer:
        return run([*READ_SWITCHES, *words], env={**env, **more}, cwd=start, timeout_seconds=_PATIENCE_SECONDS)

    # Last, since it fails in a bare repository, where everything before it is still printed.
    words = ["rev-parse", "--path-format=absolute", "--absolute-git-dir", "--is-bare-repository", "--show-toplevel"]
    answer = asked({})
    if "dubious ownership" in answer.error:
        trusted = [("safe.directory", value) for value in safe_directories()]
        answer = asked(config_variables(trusted))
    lines = path_text(answer.out).split("\n")
    if len(lines) < 3:
        raise _not_a_repository(start, answer)
    git_dir, is_bare, toplevel = Path(lines[0]), lines[1] == "true", "\n".join(lines[2:]).removesuffix("\n")
    if not toplevel and not is_bare and git_dir.name == ".git":  # inside .git itself
        toplevel = str(git_dir.parent)
    if toplevel:
        _check_worktree(Path(toplevel), git_dir)
    return git_dir, Path(toplevel) if toplevel else None


def _check_worktree(worktree: Path, git_dir: Path) -> None:
    """Raise InputError where the clone's own configuration (`core.worktree`) says that other folders are its files."""
    here = worktree / ".git"
    pointer = small_file(here).strip().removeprefix(b"gitdir: ") if here.is_file() else b""
    stated = here if not pointer else Path(os.path.join(worktree, path_text(pointer)))
    if os.path.realpath(stated) != os.path.realpath(git_dir):
        raise InputError(
            f"core.worktree of {git_dir} names {worktree}, which is not its working tree",
            "take `core.worktree` out of its configuration, or work in a clone",
        )


def small_file(file: Path, limit_bytes: int = _SMALL_BYTES, *, follow: bool = True) -> bytes:
    """The beginning of a regular file; empty for anything else, which is never waited for."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except OSError:
        return b""
    with open(handle, "rb") as opened:
        return opened.read(limit_bytes) if stat.S_ISREG(os.fstat(handle).st_mode) else b""


def _not_a_repository(start: Path, answer: Answer) -> InputError:
    if "dubious ownership" in answer.error:
        return InputError(
            f"{start}: git refuses a repository that belongs to another user",
            f"if you trust it: git config --global --add safe.directory {start}",
        )
    if "not a git repository" in answer.error:
        return InputError(
            f"{start} is not in a git repository", "start one with `git init`, or name the folder of one with -C"
        )
    return InputError(f"{start}: {answer.error or 'git finds no repository here'}")


def safe_directories() -> list[str]:
    """The folders whose owner git need not check, as this host's user and system configuration say."""
    kept = ("HOME", "XDG_CONFIG_HOME", "PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
    natural = {name: value for name, value in os.environ.items() if name in kept}
    answer = run(["config", "-z", "--get-all", "safe.directory"], env=natural, cwd=Path("/"))
    return path_text(answer.out).split("\0")[:-1]


def _common_dir(git_dir: Path) -> Path:
    text = path_text(small_file(git_dir / "commondir")).strip()
    if not text or "\0" in text:
        return git_dir
    return Path(os.path.normpath(git_dir / text))


def _missing(what: str) -> DamagedObjects:
    return DamagedObjects(f"object {what} is missing from the repository", "a partial clone or a damaged one: fetch it")


def _parse_commit(sha: str, data: bytes) -> Commit:
    head, _, message = data.partition(b"\n\n")
    tree, parents, author, committer, encoding = "", [], b"", b"", "utf-8"
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree":
            tree = value.decode()
        elif key == b"parent":
            parents.append(value.decode())
        elif key == b"author":
            author = value
        elif key == b"committer":
            committer = value
        elif key == b"encoding":
            encoding = value.decode("ascii", "replace")
    return Commit(
        sha=sha,
        tree=tree,
        parents=tuple(parents),
        author=(author.rpartition(b">")[0] + b">").decode("utf-8", "replace"),
        committed_at=_epoch(committer),
        message=_decoded(message, encoding),
    )


def _epoch(identity: bytes) -> int:
    fields = identity.rpartition(b">")[2].split()
    return int(fields[0]) if fields and fields[0].isdigit() else 0


def _decoded(message: bytes, encoding: str) -> str:
    """The words of a message: in its character set, and as UTF-8 where that is none of those people write in.

    Python's codecs are more than character sets: `undefined` raises, `punycode` takes the square of the length.
    """
    try:
        charset = codecs.lookup(encoding).name
    except (LookupError, ValueError):  # Python does not know it, or it holds a NUL
        charset = ""
    return message.decode(charset if _CHARSET.fullmatch(charset) else "utf-8", "replace")
