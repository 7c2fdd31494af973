"""A clone with a harmless watched branch, canaries beside it, and calls of the runner there that are looked at."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.command import Answer, call
from tests.hostile.kinds import HEAD, OUTSIDE, OWNED, Case
from tests.hostile.store import Content, Entry, Files, Store
from tests.hostile.watch import Bounds, own_places, watched

SECRET = "s3cr3t-of-somebody-else"
HARMLESS = HEAD + "  stages:\n    a: {cmd: 'true', deps: [in], outs: [o]}\n"


@dataclass
class Ground:
    """Everything of one mechanism in a folder."""

    folder: Path
    store: Store
    base: str = ""
    """The commit of the watched branch."""
    environ: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def create(folder: Path) -> Ground:
        """A clone whose `main` is harmless, and beside it what nobody may read or run."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "outside").mkdir()
        (folder / "outside" / "secret").write_text(SECRET + "\n")
        script = folder / "owned.sh"
        script.write_text(f"#!/bin/sh\ntouch {folder}/owned\nexec cat\n")
        script.chmod(0o755)
        ground = Ground(folder, Store.create(folder / "clone" / ".git"))
        tree = ground.store.tree({"runner.yaml": HARMLESS, "in": "1\n"})
        ground.base = ground.store.commit(tree, message="Start\n")
        ground.store.ref("refs/heads/main", ground.base)
        return ground

    @property
    def clone(self) -> Path:
        """The working tree."""
        return self.folder / "clone"

    @property
    def git_dir(self) -> Path:
        """Its git data."""
        return self.store.git_dir

    @property
    def owned(self) -> str:
        """A command that leaves a trace."""
        return str(self.folder / "owned.sh")

    @property
    def home(self) -> Path:
        """The runner's own folder."""
        return self.folder / "home"

    def filled(self, text: str) -> str:
        """A text with the places of the canaries in it."""
        return text.replace(OWNED, self.owned).replace(OUTSIDE, str(self.folder / "outside"))

    def commit(self, case: Case) -> str:
        """The commit of a case, on top of the watched branch."""
        files = case.files if case.plain else {"runner.yaml": HARMLESS, "in": "1\n", **case.files}
        tree = self.store.tree({path: self._content(content) for path, content in files.items()})
        return self.store.commit(tree, parents=[self.base], message=case.message, author=case.author)

    def _content(self, content: Content) -> Content:
        if isinstance(content, str):
            return self.filled(content)
        if isinstance(content, Entry) and (OUTSIDE.encode() in content.data or OWNED.encode() in content.data):
            return Entry(content.mode, self.filled(content.data.decode()).encode(), content.oid)
        return content

    def prepared(self, case: Case) -> str:
        """The revision to plan of a case, with the clone as the case wants it."""
        rev = self.commit(case)
        return (case.prepare(self) if case.prepare is not None else None) or rev

    def configure(self, text: str) -> None:
        """More lines for the clone's own configuration."""
        with open(self.git_dir / "config", "a") as file:
            file.write(self.filled(text))

    def write(self, files: Files) -> None:
        """Files of the working tree, as somebody who checked them out has them."""
        for path, content in files.items():
            file = self.clone / os.fsdecode(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            made = self._content(content)
            if isinstance(made, Entry):
                os.symlink(made.data, file)
            else:
                file.write_bytes(made.encode("utf-8", "surrogateescape") if isinstance(made, str) else made)

    def environment(self) -> dict[str, str]:
        """What differs from this process's environment."""
        return {"RUNNER_HOME": str(self.home), "TMPDIR": str(self.folder / "tmp"), **self.environ}

    def bounds(self) -> Bounds:
        """What a call may read and write."""
        own = (str(self.home), str(self.folder / "tmp"))
        return Bounds((str(self.clone), *own, *own_places()), own)

    def run(self, *words: str, looks_into_cache: bool = False) -> Answer:
        """Call the runner in the clone; whatever it does that it must not do fails the test."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment().items():
                patch.setenv(name, value)
            patch.setattr("tempfile.tempdir", None)
            with watched(self.bounds()) as watch:
                answer = call(self.clone, *words)
        said = f"runner {' '.join(words)}: {answer.code}\n{answer.err[-2000:]}\n{answer.out[-2000:]}"
        misdeeds = [what for what in watch.misdeeds if not (looks_into_cache and "/files/md5/" in what)]
        assert misdeeds == [], f"{misdeeds}\n{said}"
        self.check(answer, said)
        return answer

    def check(self, answer: Answer, said: str, *, annotations: bool = False) -> None:
        """Nothing was run or betrayed, and nothing of what was said is more than text."""
        assert not (self.folder / "owned").exists(), f"a command ran\n{said}"
        assert os.listdir(self.folder / "tmp") == [], said
        assert answer.code != 70, said
        assert "Traceback" not in answer.err, said
        assert SECRET not in answer.out + answer.err, said
        letters = hostile_letters(answer.out + answer.err)
        assert letters == [], f"{letters}\n{said}"
        orders = workflow_commands(answer.err + ("" if annotations else answer.out))
        assert orders == [], f"{orders}\n{said}"


def hostile_letters(text: str) -> list[str]:
    """Characters that move a cursor, turn the direction of text around, or cannot be seen at all."""
    return sorted({ascii(letter) for letter in text if letter not in "\n" and _is_hostile(letter)})


def _is_hostile(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp", "Cs") and letter != "\u00ad"


def workflow_commands(text: str) -> list[str]:
    """Lines that a runner of GitHub's would take for a command."""
    return [line for line in text.splitlines() if line.lstrip().startswith("::") or re.search(r"##\[", line)]


def told(answer: Answer) -> Mapping[str, object]:
    """The JSON that a command printed."""
    value: Mapping[str, object] = json.loads(answer.out)
    return value
