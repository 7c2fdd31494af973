"""A model written out as a real git and DVC repository, and what DVC itself does with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dvc.repo import Repo

from tests.oracle.repositories import Model, generate
from tests.repositories import git


@dataclass
class Checkout:
    """A working tree that follows a model, commit by commit."""

    root: Path
    model: Model
    written: set[str] = field(default_factory=set)
    added: dict[str, object] = field(default_factory=dict)

    @staticmethod
    def create(seed: int, folder: Path) -> Checkout:
        """The repository of `seed` at its first commit, nothing run; trace and DVC remote are beside it."""
        (folder / "remote").mkdir(parents=True)
        (folder / "trace").touch()
        checkout = Checkout(folder / "repo", generate(seed, folder / "trace", folder / "remote"))
        checkout.root.mkdir()
        git(checkout.root, "init", "--quiet", "--initial-branch", "main")
        checkout.commit("Start")
        return checkout

    def commit(self, message: str) -> str:
        """Write the model and commit everything; returns the commit's id."""
        self.write()
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.root, "rev-parse", "HEAD")

    def write(self) -> None:
        """Bring the working tree to the model, `dvc add` included, without touching what stages made."""
        texts = self.model.texts()
        for path in self.written - texts.keys():
            (self.root / path).unlink()
        for path, text in texts.items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
            file.chmod(0o755 if path in self.model.executable else 0o644)
        self.written = set(texts)
        changed = [path for path, content in self.model.data.items() if self.added.get(path) != content]
        if changed:
            self._add(changed)

    def reproduce(self) -> list[str]:
        """`dvc repro` of everything; returns the words of the trace that it added."""
        before = len(self.trace())
        with repo(self.root) as opened:
            opened.reproduce(all_pipelines=True)
        self._push()
        self.model.settle()
        return self.trace()[before:]

    def trace(self) -> list[str]:
        """The words that commands wrote so far."""
        return self.model.trace.read_text().split()

    def clone(self, name: str, revision: str = "HEAD", *, pull: bool = False) -> Path:
        """A clean clone of a commit beside this repository, everything checked out.

        Its cache is the one of this repository; with `pull` it is a new one, filled from the DVC remote.
        """
        target = self.root.with_name(name)
        git(self.root, "clone", "--quiet", "--no-checkout", str(self.root), str(target))
        git(target, "checkout", "--quiet", "--detach", git(self.root, "rev-parse", revision))
        if not pull:
            (target / ".dvc/config.local").write_text(f"[cache]\n    dir = {self.root / '.dvc/cache'}\n")
        with repo(target) as opened:
            opened.pull() if pull else opened.checkout(force=True, allow_missing=True)
        return target

    def _add(self, paths: list[str]) -> None:
        for path in paths:
            content = self.model.data[path]
            target = self.root / path
            if isinstance(content, str):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                target.write_text(content)
            else:
                shutil.rmtree(target, ignore_errors=True)
                for name, text in content.items():
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    (target / name).write_text(text)
            self.added[path] = dict(content) if isinstance(content, dict) else content
        with repo(self.root) as opened:
            opened.add([str(self.root / path) for path in paths])
        self._push()

    def _push(self) -> None:
        # a local remote has the layout of the cache
        cache = self.root / ".dvc/cache/files"
        if cache.exists():
            shutil.copytree(cache, self.model.remote / "files", dirs_exist_ok=True)


@contextmanager
def repo(root: Path) -> Iterator[Repo]:
    """DVC's own view of the repository at `root`, read anew."""
    # DVC names some files relative to the current folder, and refuses a folder outside of the repository
    with chdir(root), closing(Repo(str(root))) as opened:
        yield opened
