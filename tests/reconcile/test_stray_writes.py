"""What stages write where they should not, at every level of isolation: it is named, undone, and never reaches the
cache or another stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runner.core.digests import md5_hex
from runner.process.isolation import Isolation, available_isolation
from tests.oracle import checkouts
from tests.process.test_launcher import BECOME_NOBODY, NOBODY, ROOT, python_of_nobody
from tests.reconcile.worlds import World
from tests.repositories import Content

RECORDED = {"overlay": "overlay+pid", "pid": "pid", "group": "group"}


@pytest.fixture(params=["overlay", "pid", "group"])
def level(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each level of isolation that this system allows."""
    word: str = request.param
    if list(RECORDED).index(word) < list(Isolation).index(available_isolation(tmp_path)):
        pytest.skip(f"this system does not allow {word}")
    return word


def world_at(level: str, folder: Path, files: dict[str, Content]) -> World:
    """A world whose runner takes this level."""
    world = World.create(folder, files, dvc=True)
    world.environ["RUNNER_ISOLATION"] = level
    return world


def run_of(world: World, stage: str) -> dict[str, Any]:
    """The last recorded run of a stage."""
    return [run for run in world.runs() if run["stage"] == stage][-1]


def reconciled_by_nobody(level: str, world: World, folder: Path) -> list[dict[str, Any]]:
    """The runs of a reconcile by a user without any rights, whose home `folder` becomes; skips where none can work."""
    python = python_of_nobody()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "RUNNER_HOME": f"{folder}/a", "RUNNER_ISOLATION": level}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(folder)], check=True)
    if subprocess.run([*BECOME_NOBODY, python, "-c", "import dvc, git"], env=environ, capture_output=True).returncode:
        pytest.skip("an unprivileged user cannot use the packages of this interpreter")
    program = "import sys; from runner.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [*BECOME_NOBODY, python, "-c", program, "reconcile", "--json", "--repo", str(world.remote)]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if "does not work here" in done.stderr:
        pytest.skip("this system does not allow it to unprivileged users")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["runs"])


def damaged_objects(world: World) -> list[Path]:
    """Objects of any cache whose bytes are not what their name says."""
    caches = [*world.home("a").glob("r/*/cache"), world.repo.path / ".dvc/cache"]
    objects = [path for cache in caches for path in cache.glob("files/md5/*/*") if path.is_file()]
    assert objects
    return [path for path in objects if md5_hex(path.read_bytes()) != path.parent.name + path.name.removesuffix(".dir")]


STRAYS = """\
stages:
  first:
    cmd: echo 1 > first; mkdir -p many/deep; echo 1 > many/a; echo 2 > many/deep/b
    deps: [in]
    outs: [first, many]
  strays:
    cmd:
      - cat in first many/a > strays
      - echo more >> in; rm code/kept; echo x > code/new; mkdir -p fresh/deep; echo x > fresh/deep/file
      - chmod u+w first many/a; echo more >> first; echo more > many/a; rm many/deep/b; echo x > many/new
      - ln -sf /etc/passwd link; rm -r gone; echo x >> .gitignore
    deps: [in, first, many]
    outs: [strays]
  after:
    cmd:
      - cat in first many/* many/deep/* code/kept gone/deep/file .gitignore > after
      - find . -name '*new*' -o -name fresh >> after
    deps: [in, first, many, code, gone, .gitignore, strays]
    outs: [after]
"""
FILES: dict[str, Content] = {
    "dvc.yaml": STRAYS,
    "in": "in\n",
    "code/kept": "kept\n",
    "gone/deep/file": "file\n",
    ".gitignore": "*.pyc\n",
    "link": "",
}


def test_writes_beside_outputs_are_named_and_undone(level: str, tmp_path: Path) -> None:
    world = world_at(level, tmp_path, {**FILES, "dvc.yaml": STRAYS.replace("many/*", "many/a")})
    told = world.reconcile()
    run = run_of(world, "strays")
    assert "! strays  wrote to first, in, many/a and 2 more, inputs; undone" in told.err
    assert "! strays  wrote .gitignore, code/kept, code/new and 3 more, which it does not declare; dropped" in told.err
    assert run["isolation"]["level"] == RECORDED[level]
    assert run["isolation"]["undeclared"] == [
        ".gitignore", "code/kept", "code/new", "first", "fresh/", "gone/", "in",
        "link", "many/a", "many/deep/b", "many/new",
    ]  # fmt: skip
    assert world.output("after").startswith("in\n1\n1\n2\nkept\nfile\n*.pyc\n")
    assert "new" not in world.output("after")
    assert "fresh" not in world.output("after")
    assert run_of(world, "after")["isolation"]["undeclared"] == []
    assert damaged_objects(world) == []


def test_under_strict_they_fail_the_stage(level: str, tmp_path: Path) -> None:
    project = "apiVersion: runner/v1\nkind: Project\nmetadata: {name: x}\nspec: {strict: true, specs: [dvc.yaml]}\n"
    stages = (
        "stages:\n  s:\n    cmd: cp in s; echo x > beside\n    deps: [in]\n    outs: [s]\n"
        "  input:\n    cmd: cp in input; echo x >> in\n    deps: [in]\n    outs: [input]\n"
    )
    world = world_at(level, tmp_path, {"runner.yaml": project, "dvc.yaml": stages, "in": "1\n"})
    told = world.reconcile("--jobs", "1", ok=(3,))
    assert told.outcomes == {"s": "outputs", "input": "outputs"}
    messages = {run["stage"]: run["message"] for run in told.value["runs"]}
    assert messages["s"] == "wrote to places it does not declare: beside"
    assert messages["input"] == "wrote to places it does not declare: in"


SIBLINGS = """\
stages:
  shared:
    cmd: echo shared > shared
    deps: [in]
    outs: [shared]
  bad:
    cmd:
      - "chmod u+w shared; echo bad > shared; echo bad > in; echo bad > stray"
      - touch @TRACE@.written; until test -e @TRACE@.read; do sleep 0.02; done; touch bad
    deps: [in, shared]
    outs: [bad]
  good:
    cmd:
      - until test -e @TRACE@.written; do sleep 0.02; done
      - cat in shared > good; ls | grep -c stray >> good; touch @TRACE@.read
    deps: [in, shared]
    outs: [good]
"""


def test_a_stage_that_runs_beside_one_that_writes_into_its_inputs_sees_nothing_of_it(
    level: str, tmp_path: Path
) -> None:
    world = world_at(level, tmp_path, {"dvc.yaml": SIBLINGS, "in": "in\n"})
    told = world.reconcile("--jobs", "2")
    assert told.outcomes == {"shared": "ok", "bad": "ok", "good": "ok"}
    assert world.output("good") == "in\nshared\n0\n"
    assert run_of(world, "bad")["isolation"]["undeclared"] == ["in", "shared", "stray"]
    assert run_of(world, "good")["isolation"]["undeclared"] == []
    assert damaged_objects(world) == []


RETRIED = """\
stages:
  made:
    cmd: echo made > made
    deps: [in]
    outs: [made]
  again:
    cmd: "cp made again; cat in >> again; chmod u+w made; echo bad >> made; echo bad >> in; echo a >> @TRACE@; \
      test $(grep -c a @TRACE@) -ge 2"
    deps: [in, made]
    outs: [again]
    meta: {runner: {retries: 1}}
"""


def test_another_try_starts_from_the_same_inputs(level: str, tmp_path: Path) -> None:
    world = world_at(level, tmp_path, {"dvc.yaml": RETRIED, "in": "in\n"})
    world.reconcile()
    assert run_of(world, "again")["outcome"]["attempts"] == 2
    assert world.output("again") == "made\nin\n"


LEAVES = """\
stages:
  fails:
    cmd: mkdir half; echo x > half/x; exit 1
    deps: [in]
    outs: [half]
  looks:
    cmd: ls > looks
    deps: [in]
    outs: [looks]
"""


def test_nothing_is_left_of_the_outputs_of_a_run_that_failed(level: str, tmp_path: Path) -> None:
    world = world_at(level, tmp_path, {"dvc.yaml": LEAVES, "in": "1\n"})
    world.reconcile("--jobs", "1", ok=(3,))
    assert "half" not in world.output("looks").split()


MOVED = """\
stages:
  made:
    cmd: echo made > made
    deps: [in]
    outs: [made]
  odd:
    cmd: "@COMMAND@; true"
    deps: [in, made]
    outs: [odd]
  next:
    cmd: cat in made > next
    deps: [in, made, code]
    outs: [next]
"""


@pytest.mark.parametrize(
    "command",
    [
        'rm -rf "$PWD"',
        'mv "$PWD" "$PWD-moved"',
        'mv "$PWD" "$PWD-moved" && ln -s "$HOME" "$PWD"',
        "chmod 0 code .",
        "rm -rf code && ln -s / code",
        "rm in && mkdir -p in/deep && touch in/deep/er",
        'rm -rf "$TMPDIR"',
    ],
)
def test_whatever_a_stage_does_to_its_worktree_the_next_one_finds_it_whole(
    level: str, tmp_path: Path, command: str
) -> None:
    stages = MOVED.replace("@COMMAND@", command.replace('"', '\\"'))
    world = world_at(level, tmp_path, {"dvc.yaml": stages, "in": "in\n", "code/file": "x\n"})
    told = world.reconcile("--jobs", "1", ok=(3,))
    assert told.outcomes == {"made": "ok", "odd": "outputs", "next": "ok"}
    assert world.output("next") == "in\nmade\n"
    assert "odd was not written" in run_of(world, "odd")["outcome"]["message"]
    left = [path.name for place in world.home("a").glob("r/*/w/*") for path in place.iterdir()]
    assert left == ["lock"]
    assert world.home("a").exists()
    assert damaged_objects(world) == []


WRITES_THROUGH = """\
stages:
  made:
    cmd: echo made > made; mkdir many; echo many > many/file
    deps: [in]
    outs: [made, many]
  writes:
    cmd:
      - chmod -R u+w made many data; for file in made many/file data; do echo bad > $file; done
      - ln made second; echo worse > second; touch writes
    deps: [made, many, data]
    outs: [writes, second]
  grows:
    cmd: echo more >> grows; for file in made many/file data; do chmod u+w $file; echo bad > $file; done
    deps: [made, many, data]
    outs:
      - grows: {persist: true}
"""


def test_no_object_of_the_cache_can_be_written_through_an_input(level: str, tmp_path: Path) -> None:
    world = world_at(level, tmp_path, {"in": "1\n"})
    world.repo.write({"data": "data\n"})
    with checkouts.repo(world.repo.path) as opened:
        opened.add([str(world.repo.path / "data")])
        opened.push()
    world.edit({"dvc.yaml": WRITES_THROUGH}, "Add data")
    told = world.reconcile("--jobs", "3")
    assert set(told.outcomes.values()) == {"ok"}
    assert damaged_objects(world) == []
    world.edit({"dvc.yaml": WRITES_THROUGH.replace("echo more", "echo even more")})
    world.reconcile("--jobs", "3")
    assert damaged_objects(world) == []
    assert world.output("grows") == "more\neven more\n"
    again = run_of(world, "grows")
    assert again["isolation"]["level"] == RECORDED[level]
    assert set(again["startedFrom"]) == {"grows"}


def test_somebody_else_than_root_cannot_write_through_an_input_either(level: str) -> None:
    stages = WRITES_THROUGH[: WRITES_THROUGH.index("  grows:")].replace("[made, many, data]", "[made, many]")
    stages = stages.replace(" data; for", "; for").replace("many/file data;", "many/file;")
    with tempfile.TemporaryDirectory() as name:
        world = world_at(level, Path(name) / "world", {"in": "1\n", "dvc.yaml": stages})
        ran = reconciled_by_nobody(level, world, Path(name))
        assert [(run["stage"], run["outcome"]) for run in ran] == [("made", "ok"), ("writes", "ok")]
        objects = [path for path in Path(name).glob("a/r/*/cache/files/md5/*/*") if path.is_file()]
        assert len(objects) >= 3
        assert {path.stat().st_uid for path in objects} == {NOBODY}
        names = {path: path.parent.name + path.name.removesuffix(".dir") for path in objects}
        assert {path: md5_hex(path.read_bytes()) for path in objects} == names


def test_where_the_overlay_fails_at_run_time_inputs_are_placed_again_as_copies(tmp_path: Path) -> None:
    """The probe succeeds; then the system allows no further mount namespaces."""
    if available_isolation(tmp_path) is not Isolation.OVERLAY:
        pytest.skip("this system does not allow overlays")
    stages = WRITES_THROUGH[: WRITES_THROUGH.index("  grows:")].replace("[made, many, data]", "[made, many]")
    stages = stages.replace(" data; for", "; for").replace("many/file data;", "many/file;")
    world = World.create(tmp_path, {"in": "1\n", "dvc.yaml": stages[: stages.index("  writes:")]}, dvc=True)
    world.reconcile()
    world.edit({"dvc.yaml": stages}, "Have inputs that are in the cache and not in the worktree")
    forbid = (
        "import sys\n"
        "from pathlib import Path\n"
        "from runner.cli.main import main\n"
        "from runner.process import isolation\n"
        "place = Path(sys.argv[1])\n"
        "assert isolation.available_isolation(place) is isolation.Isolation.OVERLAY\n"
        "Path('/proc/sys/user/max_mnt_namespaces').write_text('0')\n"
        "sys.exit(main(['reconcile', '--json']))\n"
    )
    command = ["unshare", "-Ur", sys.executable, "-c", forbid, str(tmp_path)]
    done = subprocess.run(
        command, cwd=world.repo.path, env=world.environment("a"), capture_output=True, text=True, check=False
    )
    if done.returncode == 1 and ("unshare:" in done.stderr or "AssertionError" in done.stderr):
        pytest.skip("this system does not let us forbid namespaces for ourselves")
    assert done.returncode == 0, done.stderr
    assert {run["outcome"] for run in json.loads(done.stdout)["runs"]} == {"ok"}
    assert {run["stage"]: run["isolation"]["level"] for run in world.runs()} == {
        "made": "overlay+pid",
        "writes": "group",
    }
    assert run_of(world, "writes")["isolation"]["undeclared"] == ["made", "many/file"]
    assert damaged_objects(world) == []
