"""Code that stages of the library use: found through imports, counted by what it says, checked against the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runner.core.nouns import Stage
from tests.reconcile.worlds import World
from tests.repositories import Content, GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of, seen_by_runner
from tests.specs.test_render import HEAD, as_dvc_sees_the_rendered

Make = Callable[..., GitRepo]
PIPELINE = """\
  stages:
    build:
      uses: python
      with: {with_}
      outs: [out.csv]
"""
TREE = {
    "src/__init__.py": "from .version import NUMBER\n",
    "src/version.py": "NUMBER = 1\n",
    "src/features.py": "import os, numpy, shared.names\nfrom . import near, missing\nfrom .deep.inner import f\n"
    "def build(out):\n    from src import late\n    import importlib; importlib.import_module('src.dynamic')\n",
    "src/near.py": "from src.features import build\n",
    "src/late.py": "from src.everything import *\n",
    "src/deep/inner.py": "from .. import above\nfrom ...... import beyond\n",
    "src/deep/other.py": "",
    "src/above.py": "import src.above\n",
    "src/everything/__init__.py": "__all__ = ['listed']\n",
    "src/everything/listed.py": "",
    "src/everything/unlisted.py": "",
    "src/dynamic.py": "import shared.more\n",
    "shared/names.py": "import features\n",
    "shared/more.py": "",
    "near.py": "",
    "features.py": "",
    "other.py": "",
}
USED = {
    *("features.py", "shared/names.py", "src/__init__.py", "src/above.py", "src/deep/inner.py", "src/features.py"),
    *("src/everything/__init__.py", "src/everything/listed.py", "src/late.py", "src/near.py", "src/version.py"),
}


def made(make: Make, with_: str, files: Mapping[str, Content] = TREE, *, more: str = "", name: str = "repo") -> GitRepo:
    """A repository with one stage that uses code."""
    spec = HEAD + PIPELINE.replace("{with_}", with_) + more
    return make({**DVC_PROJECT, "runner.yaml": spec, **files}, name=name)


def built(repo: GitRepo, cache: Path | None = None) -> Stage:
    """The stage."""
    return next(stage for stage in desired_of(repo, cache).stages() if stage.address.stage == "build")


def test_imports_are_followed_wherever_they_stand_and_nothing_else_is_a_dependency(git_repo: Make) -> None:
    repo = made(git_repo, "{call: 'src.features:build'}")
    stage = built(repo)
    assert set(stage.deps) == USED
    assert dict(stage.meanings) == dict.fromkeys(USED, "code")
    rendered = desired_of(repo).pipelines[0].rendered
    assert rendered is not None
    assert as_dvc_sees_the_rendered(repo, rendered)["build"] == seen_by_runner(stage)


def test_a_new_import_is_seen_though_everything_was_remembered(git_repo: Make, tmp_path: Path) -> None:
    repo = made(git_repo, "{call: 'src.features:build'}")
    assert set(built(repo, tmp_path / "cache").deps) == USED
    repo.commit({"src/above.py": "import other\n"})
    assert set(built(repo, tmp_path / "cache").deps) == {*USED, "other.py"}
    repo.commit({"src/missing.py": ""}, "A module that was imported before it was there")
    assert "src/missing.py" in built(repo, tmp_path / "cache").deps


def test_code_that_no_statement_imports_can_be_named_and_what_deps_names_counts_by_its_bytes(git_repo: Make) -> None:
    more = "      deps: [near.py, src/above.py]\n"
    stage = built(made(git_repo, "{call: 'src.features:build', code: [src/dynamic.py, src/deep]}", more=more))
    assert set(stage.deps) == {*USED, "near.py", "src/dynamic.py", "shared/more.py", "src/deep/other.py"}
    assert set(stage.deps) - set(dict(stage.meanings)) == {"near.py", "src/above.py"}


def test_modules_are_looked_for_in_the_roots_that_a_stage_names(git_repo: Make) -> None:
    files = {"lib/src/features.py": "import helper\ndef build(): ...\n", "code/helper.py": "", "helper.py": ""}
    stage = built(made(git_repo, "{call: 'src.features:build', roots: [lib, code]}", files))
    assert set(stage.deps) == {"lib/src/features.py", "code/helper.py"}
    nested = {"lib/__init__.py": "", "lib/sub/__init__.py": "import helper\n", "lib/sub/m.py": FUNCTION["src/f.py"]}
    call = "{call: 'lib.sub.m:_hidden', roots: ['.', lib, lib/sub]}"
    within = built(made(git_repo, call, {**nested, "helper.py": ""}, name="within"))
    assert set(within.deps) == {*nested, "helper.py"}, "packages above count, though one of the roots is inside them"
    below = built(made(git_repo, "{call: 'src.features:build'}", files, more="      wdir: lib\n", name="below"))
    assert set(below.deps) == {"lib/src/features.py"}


def test_each_stage_of_a_group_has_the_code_of_its_own_call(git_repo: Make) -> None:
    spec = """\
  stages:
    each:
      foreach: [one, two]
      do: {uses: python, with: {call: "src.${item}:f", args: {n: 1}}, outs: ["${item}.csv"]}
"""
    files = {"src/one.py": "from . import both\ndef f(n): ...\n", "src/two.py": "def f(n): ...\n", "src/both.py": ""}
    repo = git_repo({**DVC_PROJECT, "runner.yaml": HEAD + spec, **files})
    desired = desired_of(repo)
    deps = {stage.address.stage: stage.deps for stage in desired.stages()}
    # To DVC the stages of a group come from one template, in which each has as many dependencies.
    assert deps == dict.fromkeys(["each@one", "each@two"], ("src/both.py", "src/one.py", "src/two.py"))
    repo.commit({"src/two.py": "from . import other\ndef f(n): ...\n", "src/other.py": ""})
    deps = {stage.address.stage: stage.deps for stage in desired_of(repo).stages()}
    assert deps == {"each@one": ("src/both.py", "src/one.py"), "each@two": ("src/other.py", "src/two.py")}
    desired = desired_of(repo)
    assert desired.pipelines[0].rendered is not None
    seen = {stage.address.stage: seen_by_runner(stage) for stage in desired.stages()}
    assert as_dvc_sees_the_rendered(repo, desired.pipelines[0].rendered) == seen


def test_what_does_not_parse_is_told_with_its_place_and_counts_by_its_bytes(git_repo: Make) -> None:
    files = {**TREE, "src/near.py": "x = 1\ndef (:\n"}
    repo = made(git_repo, "{call: 'src.features:build'}", files)
    notices = [notice.message for notice in desired_of(repo).notices]
    assert len(notices) == 1
    assert notices[0].startswith("src/near.py:2:5: Python 3.")
    assert notices[0].endswith("it counts by its bytes, and its imports are not known")
    repo.commit({"src/near.py": "x = '" + "a" * (300 << 10) + "'"})
    [notice] = [notice.message for notice in desired_of(repo).notices]
    assert notice.startswith("src/near.py: it is larger than 256 KiB;")


FUNCTION = {"src/f.py": "def build(data, window=3, *, out): ...\ndef lists(outs, plots): ...\ndef _hidden(): ...\n"}


@pytest.mark.parametrize(
    ("with_", "column", "said"),
    [
        ("{call: 'src.g:build'}", 14, "`src.g:build`: there is no module `src.g` in the repository (there is src/f.py"),
        ("{call: 'src.f:build', roots: [../x]}", 35, "the folder `../x` leaves the repository ("),
        ("{call: 'src.f:bild'}", 14, "src/f.py defines no `bild` (did you mean `build`?)"),
        ("{call: 'src.f'}", 14, "`call` cannot be `src.f` (A function of a module"),
        ("{call: 'src.f:build'}", 14, "`src.f:build` needs `data`, and nothing gives it (name a path in `inputs` or "),
        (
            "{call: 'src.f:build', inputs: {data: src/f.py}, args: {windw: 3}}", 68,
            "`src.f:build` has no parameter `windw` (did you mean `window`? see src/f.py, line 1)",
        ),
        (
            "{call: 'src.f:build', args: {dat: 3}}", 42,
            "`src.f:build` has no parameter `dat` (did you mean `data`? see src/f.py, line 1)",
        ),
        (
            "{call: 'src.f:build', inputs: {data: src/f.py}, args: {data: 3}}", 68,
            "`data` stands in both `inputs` and `args` (keep one of them)",
        ),
        ("{call: 'src.f:lists', args: {a: 1}}", 42, "`src.f:lists` has no parameter `a` (it has: outs, plots; see"),
        ("{call: 'src.f:build', inputs: {data: gone.csv}}", 5, "`gone.csv` is neither in git"),
        ("{call: 'src.f:build', args: {data: 1, 7: 1}}", 35, "the key `7` in `with` is not text"),
        ("{call: 'src.f:build', args: {data: 1}, cod: []}", 52, "unknown key `cod`"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit_is_told_with_its_place(with_: str, column: int, said: str, git_repo: Make) -> None:
    found = findings_of(made(git_repo, with_, FUNCTION))
    assert len(found) == 1, found
    place, _, message = found[0].partition(": ")
    assert (place, message[: len(said)]) == (f"runner.yaml:8:{column}" if column > 5 else "runner.yaml:6:5", said), (
        found
    )


def test_one_out_is_for_out_and_several_are_not(git_repo: Make) -> None:
    assert findings_of(made(git_repo, "{call: 'src.f:build', args: {data: 1}}", FUNCTION)) == []
    more = "      plots: [a.csv]\n"
    repo = made(git_repo, "{call: 'src.f:build', args: {data: 1}}", FUNCTION, more=more, name="more")
    repo.commit({"runner.yaml": repo.path.joinpath("runner.yaml").read_text().replace("[out.csv]", "[a.txt, b.txt]")})
    [found] = findings_of(repo)
    assert "the parameter `out` of `src.f:build` is for one of `outs`, and 2 are named" in found


@pytest.mark.parametrize(
    "source",
    [
        "from elsewhere import *\n",
        "build = 3\n",
        "class build: ...\n",
        "@decorated\ndef build(a): ...\n",
        "def build(**all): ...\n",
        "try:\n    from fast import build\nexcept ImportError:\n    def build(x): ...\n",
        "def __getattr__(name): ...\n",
    ],
)
def test_nothing_is_said_of_what_the_syntax_does_not_tell(source: str, git_repo: Make) -> None:
    assert findings_of(made(git_repo, "{call: 'src.f:build', args: {window: 1}}", {"src/f.py": source})) == []


def test_code_without_end_is_refused(git_repo: Make) -> None:
    files = {f"m{number}.py": f"import m{number + 1}\n" for number in range(2100)}
    found = findings_of(made(git_repo, "{call: 'm0:f'}", {**files, "m0.py": "import m1\ndef f(): ...\n"}))
    assert len(found) == 1
    assert "the code that it imports is more than 2,000 modules, or that of all stages more than 8 MiB" in found[0]


@pytest.mark.parametrize("call", ["m0:f", "m${item}:f"])
def test_many_stages_that_use_many_modules_are_refused_in_time(call: str, git_repo: Make) -> None:
    spec = f"""\
  stages:
    each:
      foreach: {list(range(500))}
      do: {{uses: python, with: {{call: "{call}"}}, outs: ["${{item}}.csv"]}}
"""
    # In a ring each module uses all of them: 300,000 dependencies.
    modules = {f"m{number}.py": f"import m{(number + 1) % 600}\ndef f(): ...\n" for number in range(600)}
    [found] = findings_of(git_repo({**DVC_PROJECT, "runner.yaml": HEAD + spec, **modules}))
    assert "or 200,000 dependencies" in found


def test_a_link_in_place_of_a_module_is_refused_as_any_other_is(git_repo: Make) -> None:
    repo = made(git_repo, "{call: 'src.features:build'}")
    (repo.path / "src/near.py").unlink()
    (repo.path / "src/near.py").symlink_to("../near.py")
    repo.commit({}, "A link")
    [found] = findings_of(repo)
    assert "`src/near.py` is a symbolic link, which no stage can read" in found


@pytest.mark.parametrize(("name", "roots"), [("linked.n", "['.']"), ("inner.n", "['.', linked]")])
def test_a_module_behind_a_linked_folder_is_refused_as_python_would_find_it(
    name: str, roots: str, git_repo: Make
) -> None:
    files = {"m.py": f"import {name}\ndef f(): ...\n", "real/n.py": "", "real/inner/n.py": ""}
    repo = made(git_repo, f"{{call: 'm:f', roots: {roots}}}", files)
    (repo.path / "linked").symlink_to("real")
    repo.commit({}, "A link")
    assert any("`linked` is a symbolic link, which no stage can read" in found for found in findings_of(repo))


def test_a_notebook_counts_by_its_cells_and_what_they_import_is_a_dependency(tmp_path: Path) -> None:
    spec = HEAD + "  stages:\n    eda: {uses: notebook, with: {notebook: nb/eda.ipynb}, outs: [eda.html]}\n"
    code = {"cell_type": "code", "metadata": {}, "source": "%time\nfrom src import near", "outputs": [], "id": "a"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [code]}
    world = World.create(
        tmp_path, {"runner.yaml": spec, "nb/eda.ipynb": json.dumps(notebook), "src/near.py": "x = 1\n"}
    )
    [first] = world.plan_rows()
    code |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}], "execution_count": 1}
    world.edit({"nb/eda.ipynb": json.dumps(notebook, indent=1), "src/near.py": "x = (1)\n"})
    assert [row["key"] for row in world.plan_rows()] == [first["key"]]
    world.edit({"src/near.py": "x = 2\n"})
    [imported] = world.plan_rows()
    code["source"] = "from src import near\nnear.x"
    world.edit({"nb/eda.ipynb": json.dumps(notebook)})
    [edited] = world.plan_rows()
    assert len({first["key"], imported["key"], edited["key"]}) == 3
