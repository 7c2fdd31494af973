"""What every test shares: a world apart from the user's configuration, and factories of real repositories."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from tests.repositories import Content, GitRepo, new_bare_remote, new_repository

_GIT_CONFIG = """\
[user]
    name = Ada Tester
    email = ada@example.com
[init]
    defaultBranch = main
[commit]
    gpgSign = false
[core]
    fsync = none
[gc]
    auto = 0
[maintenance]
    auto = false
"""

# The workers of a test run share the cores: where each library has threads for all of them, they wait for each other.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

# The same examples each time, and no clock: what a busy machine does must not decide. For new examples say
# `--hypothesis-profile default`.
hypothesis.settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test first, then those with many: a file is one worker's, and all wait for the last."""
    counts = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, -counts[item.path]))


@pytest.fixture(scope="session", autouse=True)
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home, git identity, DVC configuration and runner home of this session's own; returns the home folder."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(_GIT_CONFIG)
    folders = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / "config",
        "XDG_CACHE_HOME": home / "cache",
        "XDG_DATA_HOME": home / "data",
        "XDG_STATE_HOME": home / "state",
        "RUNNER_HOME": home / "runner",
        "DVC_SITE_CACHE_DIR": home / "dvc-site",
        "DVC_GLOBAL_CONFIG_DIR": home / "dvc-global",
        "DVC_SYSTEM_CONFIG_DIR": home / "dvc-system",
        "GIT_CONFIG_GLOBAL": home / ".gitconfig",
    }
    with pytest.MonkeyPatch.context() as patch:
        # What surrounds the tests (a hook, a CI job, a daemon) must not decide what they see.
        for name in list(os.environ):
            if name.startswith(("GIT_", "GITHUB_", "RUNNER_", "DVC_")):
                patch.delenv(name)
        for name, folder in folders.items():
            patch.setenv(name, str(folder))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("NO_COLOR", "1")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("LANGUAGE", "C")  # or argparse looks for a translation of each of its words, in each call
        patch.setenv("TZ", "UTC")
        yield home


@pytest.fixture
def git_repo(tmp_path: Path) -> Callable[..., GitRepo]:
    """A factory: `git_repo({"a.txt": "1"}, name="repo")` makes a repository with one commit; no files, no commit."""

    def make(files: Mapping[str, Content] | None = None, *, name: str = "repo") -> GitRepo:
        return new_repository(tmp_path / name, files)

    return make


@pytest.fixture
def bare_remote(tmp_path: Path) -> Callable[..., Path]:
    """A factory: `bare_remote(repo)` makes a bare repository that is `origin` of `repo` and has its branch."""

    def make(repo: GitRepo | None = None, *, name: str = "remote.git") -> Path:
        return new_bare_remote(tmp_path / name, repo)

    return make
