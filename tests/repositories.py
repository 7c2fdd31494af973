"""Real git repositories for the tests, made in a few calls."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Content = str | bytes


def git(folder: Path, *args: str) -> str:
    """Run git in `folder` and return its output without the last newline; a failure shows what git said."""
    done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"git {' '.join(args)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout.removesuffix("\n")


@dataclass(frozen=True, slots=True)
class GitRepo:
    """A repository with a working tree on branch `main`."""

    path: Path

    def git(self, *args: str) -> str:
        """Run git here; see `git`."""
        return git(self.path, *args)

    def write(self, files: Mapping[str, Content]) -> None:
        """Write files below the root, making their folders."""
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(
        self, files: Mapping[str, Content] | None = None, message: str = "Change", *, delete: Sequence[str] = ()
    ) -> str:
        """Write and delete files, commit all there is, even nothing, and return the full commit id."""
        self.write(files or {})
        for name in delete:
            (self.path / name).unlink()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head

    def push(self, *refs: str) -> None:
        """Push to `origin`, by default the current branch."""
        self.git("push", "--quiet", "origin", *(refs or ("HEAD",)))

    @property
    def head(self) -> str:
        """The full id of the commit that is checked out."""
        return self.git("rev-parse", "HEAD")


def new_repository(path: Path, files: Mapping[str, Content] | None = None) -> GitRepo:
    """A new repository at `path`; with `files` it has one commit, without it has none."""
    path.mkdir(parents=True)
    repo = GitRepo(path)
    repo.git("init", "--quiet", "--initial-branch", "main")
    if files is not None:
        repo.commit(files, "Start")
    return repo


def new_bare_remote(path: Path, repo: GitRepo | None = None) -> Path:
    """A new bare repository at `path`; with `repo` it becomes its `origin` and receives its branch."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", "--initial-branch", "main")
    if repo is not None:
        repo.git("remote", "add", "origin", str(path))
        repo.push("HEAD")
    return path
