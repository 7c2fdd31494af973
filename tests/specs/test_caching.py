"""What is remembered is what would be read: the cache changes the time, never the answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core.nouns import Desired
from runner.specs.parse_cache import ParseCache
from tests.repositories import GitRepo
from tests.specs.corpus import CORPUS
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of, make_inputs_exist

PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    a:
      cmd: x ${lr}
      outs: [o]
      env: {A: 1}
      timeout: 1m
      retries: 2
      seed: 0
      image: i
      mutex: [m]
      secrets: [S]
      resources: {cpu: 2}
      environment: {lock: r.txt}
"""


def everything(desired: Desired) -> tuple[object, ...]:
    """All of a Desired but its commit."""
    return tuple(getattr(desired, name) for name in Desired.__dataclass_fields__ if name != "commit")


def commands(desired: Desired) -> list[str]:
    return [stage.cmd[0] for stage in desired.stages()]


@pytest.mark.parametrize("name", ["vars", "foreach from params", "options of outputs", "plots", "nested files", "wdir"])
def test_a_remembered_reading_equals_a_fresh_one(name: str, git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo({**DVC_PROJECT, **CORPUS[name]})
    make_inputs_exist(repo)
    repo.commit(
        {
            "pipelines/q.yaml": PIPELINE.replace("[o]", "[never]"),
            "params.yaml": "lr: 1\n" + CORPUS[name].get("params.yaml", "").replace("lr: 1e-3\n", ""),
            "r.txt": "",
        }
    )
    fresh = desired_of(repo)

    first, second = desired_of(repo, tmp_path / "cache"), desired_of(repo, tmp_path / "cache")

    assert everything(first) == everything(fresh)
    assert everything(second) == everything(fresh)


def test_a_change_of_anything_a_template_reads_is_seen(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    stages = "  a: {cmd: 'x ${v}'}\n  b: {cmd: 'y ${own}', wdir: w, vars: [own.yaml]}\n"
    text = f"vars: [conf/a.json]\nstages:\n{stages}"
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": text, "conf/a.json": '{"v": 1}', "w/own.yaml": "own: 1\n"})
    assert commands(desired_of(repo, cache)) == ["x 1", "y 1"]

    repo.commit({"conf/a.json": '{"v": 2}'})
    assert commands(desired_of(repo, cache)) == ["x 2", "y 1"]

    repo.commit({"w/own.yaml": "own: 2\n"})
    assert commands(desired_of(repo, cache)) == ["x 2", "y 2"]

    repo.commit({"params.yaml": "v: 3\n"})
    (finding,) = findings_of(repo, cache)
    assert "cannot redefine 'v' from 'conf/a.json'" in finding

    repo.commit({"conf/a.json": "{}"})
    assert commands(desired_of(repo, cache)) == ["x 3", "y 2"]

    repo.commit(delete=["params.yaml"])
    assert findings_of(repo, cache) == ["dvc.yaml:3:7: unknown variable ${v} (it is in none of: conf/a.json)"]


def test_a_link_to_a_parameter_file_is_followed(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: 'x ${v}'}\n", "real/p.yaml": "v: 1\n"})
    (repo.path / "params.yaml").symlink_to("real/p.yaml")
    repo.commit()
    assert commands(desired_of(repo, tmp_path)) == ["x 1"]

    repo.commit({"real/p.yaml": "v: 2\n"})
    assert commands(desired_of(repo, tmp_path)) == ["x 2"]


def test_a_link_that_leaves_the_tree_is_no_file(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text("v: 1\n")
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "vars: [linked.yaml]\nstages:\n  a: {cmd: 'x ${v}'}\n"})
    (repo.path / "linked.yaml").symlink_to(tmp_path / "outside.yaml")
    repo.commit()

    assert findings_of(repo) == [
        "dvc.yaml:1:1: 'linked.yaml' does not exist (commit the file, or remove it from `vars`)"
    ]


def test_a_file_that_appears_in_git_spoils_a_commit_that_was_clean(
    git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: x, deps: [i], outs: [o]}\n", "i": ""})
    assert findings_of(repo, tmp_path) == []

    repo.commit({"o": ""})
    assert findings_of(repo, tmp_path) != []

    repo.commit(delete=["o", "i"])
    assert findings_of(repo, tmp_path) != []


def test_a_damaged_cache_is_read_around(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: 'x ${v}'}\n", "params.yaml": "v: 1\n"})
    expected = everything(desired_of(repo, cache))
    entries = sorted(cache.rglob("*.json"))
    assert entries

    for damage in (
        lambda data: b"",
        lambda data: data[:-3],
        lambda data: data.replace(b"x 1", b"x 2"),
        lambda data: b"\xff" * 9,
    ):
        for entry in entries:
            entry.write_bytes(damage(entry.read_bytes()))
        assert everything(desired_of(repo, cache)) == expected


def test_a_cache_that_cannot_be_written_costs_only_time(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: x}\n"})

    assert commands(desired_of(repo, tmp_path / "file" / "cache")) == ["x"]


def test_a_warm_reading_imports_no_parser(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    files = {
        "dvc.yaml": "stages:\n  a: {cmd: 'x ${v}', params: [v], outs: [q]}\n",
        "params.yaml": "v: 1\nlr: 1\n",
        "r.txt": "",
    }
    locked = {"dvc.lock": "schema: '2.0'\nstages:\n  a: {cmd: x}\n", ".dvcignore": "tmp\n"}
    repo = git_repo({**DVC_PROJECT, **files, **locked, "pipelines/p.yaml": PIPELINE})
    desired_of(repo, tmp_path)
    program = f"""
import sys
from pathlib import Path
from runner.git.read import Reader
from runner.specs.desired import read_desired
from runner.specs.parse_cache import ParseCache
with Reader.discover(Path({str(repo.path)!r})) as reader:
    desired = read_desired(reader, reader.resolve("HEAD"), ParseCache(Path({str(tmp_path)!r})))
assert len(desired.stages()) == 2
loaded = {{name.split(".")[0] for name in sys.modules}}
print(sorted(loaded & {{"dvc", "yaml", "jsonschema", "tomlkit", "pathspec", "git"}}))
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert done.stdout == "[]\n"


def test_the_cache_is_kept_within_its_bound(tmp_path: Path) -> None:
    for index in range(20):
        ParseCache(tmp_path, bound_bytes=40_000).put("params", f"{index:040x}", "x" * 300)

    kept = [index for index in range(20) if ParseCache(tmp_path).get("params", f"{index:040x}") is not None]

    assert sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("*.json")) <= 40_000
    assert 19 in kept


def test_values_of_all_kinds_come_back(tmp_path: Path) -> None:
    import datetime

    value = {
        "plain": [1, 2.5, None, True, "ä\udcff"],
        1: "number key",
        "!date": "a key like a tag",
        "times": [
            datetime.date(2024, 1, 2),
            datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.UTC),
            datetime.time(1),
        ],
        "sets": [{1, 2}, (1, (2,)), b"\x00", 1j, float("inf"), ...],
    }

    ParseCache(tmp_path).put("params", "any key at all", value)

    assert ParseCache(tmp_path).get("params", "any key at all") == value
    assert ParseCache(tmp_path).get("documents", "any key at all") is None
    assert ParseCache(None).get("params", "any key at all") is None


def test_parameters_that_no_template_reads_are_still_checked(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    text = "stages:\n  a: {cmd: x, params: [lr]}\n"
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": text, "params.yaml": "lr: 1\n"})
    expected = everything(desired_of(repo, cache))

    repo.commit({"params.yaml": "lr: 2\nmore: [1]\n"})
    assert everything(desired_of(repo, cache)) == expected

    repo.commit({"params.yaml": "lr: 2024-01-01\n"})
    assert findings_of(repo, cache) == [
        "params.yaml:1:1: `lr` is a date, which templates cannot hold (put it in quotes)"
    ]

    repo.commit({"params.yaml": "lr: [\n"})
    assert [finding.split(": ")[0] for finding in findings_of(repo, cache)] == ["params.yaml:2:1"]

    repo.commit({"params.yaml": "other: 1\n"})
    assert findings_of(repo, cache) == [
        "dvc.yaml:2:24: the parameter `lr` is not in `params.yaml` (add it to `params.yaml`)"
    ]


def test_an_expression_that_many_stages_hold_is_parsed_once(git_repo: Callable[..., GitRepo]) -> None:
    stages = "".join(
        f"  s{n}: {{cmd: 'echo ${{held_by_many}} ${{held_by_many}} {n}', outs: [o{n}]}}\n" for n in range(9)
    )
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": f"stages:\n{stages}", "params.yaml": "held_by_many: 1\n"})
    desired_of(repo)
    from dvc.parsing.interpolate import parse_expr

    before = parse_expr.cache_info()
    assert commands(desired_of(repo)) == [f"echo 1 1 {n}" for n in range(9)]
    after = parse_expr.cache_info()
    assert after.misses == before.misses
    assert after.hits > before.hits
