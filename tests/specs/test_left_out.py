"""What is broken is left out; all else is checked, and nothing is said that follows from what was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from runner.core.nouns import Project
from runner.errors import SpecError
from runner.git.read import Reader
from runner.specs.desired import read_project
from runner.specs.parse_cache import ParseCache
from tests.repositories import Content, GitRepo
from tests.specs.readings import DVC_PROJECT, findings_of

HEAD = "apiVersion: runner/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
PROJECT = "apiVersion: runner/v1\nkind: Project\n"
CYCLE = "  x: {cmd: c, deps: [y], outs: [x]}\n  y: {cmd: c, deps: [x], outs: [y]}\n"
WAITING = "the stages wait for each other"
NOWHERE = "is neither in git, nor tracked by DVC, nor made by a stage"


def pipeline(name: str, stages: str) -> str:
    """A Pipeline document; `stages` are indented by two."""
    indented = "".join(f"  {line}\n" for line in stages.splitlines())
    return f"{HEAD.format(kind='Pipeline', name=name)}  stages:\n{indented}"


def told(repo: GitRepo) -> list[str]:
    """Place and message of every finding, without hints."""
    return [re.sub(r" \((?:[^()]|\([^()]*\))*\)$", "", finding) for finding in findings_of(repo)]


BROKEN: dict[str, tuple[Mapping[str, Content], list[str]]] = {
    "a stage with an unknown key hides no cycle of its file": (
        {"dvc.yaml": f"stages:\n  a: {{cmd: c, dep: [q]}}\n{CYCLE}"},
        ["dvc.yaml:2:15: unknown key `dep` in `a`", f"dvc.yaml:3:3: {WAITING}"],
    ),
    "a stage with a template of nothing hides no second owner": (
        {"dvc.yaml": "stages:\n  a: {cmd: 'c ${q}'}\n  b: {cmd: c, outs: [o]}\n  d: {cmd: c, outs: [o]}\n"},
        ["dvc.yaml:2:7: unknown variable ${q}", "dvc.yaml:4:22: the output `o` is also made by dvc.yaml:b"],
    ),
    "a stage whose path leaves the repository hides no missing input": (
        {"dvc.yaml": "stages:\n  a: {cmd: c, outs: [../o]}\n  b: {cmd: c, deps: [gone.csv]}\n"},
        ["dvc.yaml:2:22: the output `../o` leaves the repository", f"dvc.yaml:3:22: `gone.csv` {NOWHERE}"],
    ),
    "a broken file hides no cycle of another": (
        {"a/dvc.yaml": "stages: [\n", "b/dvc.yaml": f"stages:\n{CYCLE}"},
        ["a/dvc.yaml:2:1: not YAML: a value is missing here", f"b/dvc.yaml:2:3: {WAITING}"],
    ),
    "a broken document hides no other of its file": (
        {"runner.yaml": f"{PROJECT}---\nkind: [\n---\n{pipeline('p', CYCLE)}"},
        ["runner.yaml:5:1: not YAML: a value is missing here", f"runner.yaml:11:5: {WAITING}"],
    ),
    "keys that stand twice hide no other document": (
        {"runner.yaml": f"{PROJECT}kind: Project\n---\n{pipeline('p', CYCLE)}"},
        ["runner.yaml:3:1: the key `kind` stands here twice", f"runner.yaml:10:5: {WAITING}"],
    ),
    "two broken documents are both named": (
        {"runner.yaml": f"{PROJECT}---\na: [\n---\nb: {{\n"},
        ["runner.yaml:5:1: not YAML", "runner.yaml:7:1: not YAML"],
    ),
    "a document with an unknown key hides no other": (
        {"runner.yaml": f"{HEAD.format(kind='Pipeline', name='a')}  stagse: {{}}\n---\n{pipeline('p', CYCLE)}"},
        [
            "runner.yaml:4:1: the key `stages` is missing in `spec`",
            "runner.yaml:5:3: unknown key `stagse` in `spec`",
            f"runner.yaml:12:5: {WAITING}",
        ],
    ),
    "a wrong setting of the Project hides nothing": (
        {
            "runner.yaml": f"{PROJECT}spec: {{specs: [sub/dvc.yaml], strict: 3}}\n",
            "sub/dvc.yaml": "stages:\n  a: {cmd: c, deps: [gone]}\n",
        },
        ["runner.yaml:3:31: `strict` must be true or false", f"sub/dvc.yaml:2:22: `sub/gone` {NOWHERE}"],
    ),
    "a broken .dvc file hides no other": (
        {
            "a.dvc": "outs: 3\n",
            "b.dvc": "outs:\n- md5: d8e8fca2dc0f896fd7cb4cb0031ba249\n  path: b\n",
            "dvc.yaml": "stages:\n  s: {cmd: c, deps: [a, b, gone], outs: [b/o]}\n",
        },
        [
            "a.dvc: the .dvc file names no `outs`",
            "dvc.yaml:2:15: the stage reads `b`, which it writes itself (`b/o`)",
        ],
    ),
    "a broken lock file hides no missing input": (
        {"dvc.yaml": "stages:\n  s: {cmd: c, deps: [gone]}\n", "dvc.lock": "schema: '9'\n"},
        ["dvc.lock: the lock file has the unknown version `9`", f"dvc.yaml:2:22: `gone` {NOWHERE}"],
    ),
    "a second document of a name hides nothing of itself": (
        {"runner.yaml": f"{pipeline('p', '  a: {cmd: c}')}---\n{pipeline('p', '  b: {cmd: ' + repr('${q}') + '}')}"},
        [
            "runner.yaml:10:12: a second Pipeline named `p`; the first is in runner.yaml:1",
            "runner.yaml:13:9: unknown variable ${q}",
        ],
    ),
    "deployments are checked beside a broken stage": (
        {
            "runner.yaml": f"{HEAD.format(kind='Deployment', name='d')}  model: {{pipeline: q, out: m}}\n---\n"
            + pipeline("p", "  a: {cmd: c, outs: [3]}")
        },
        ["runner.yaml:5:11: there is no pipeline `q`", "runner.yaml:12:24: item 1 of `outs` must be text"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_hides_nothing_else(name: str, git_repo: Callable[..., GitRepo]) -> None:
    files, expected = BROKEN[name]
    found = told(git_repo({**DVC_PROJECT, **files}))
    assert len(found) == len(expected), found
    for finding, start in zip(found, expected, strict=True):
        assert finding.startswith(start), found


READER = "  reads: {cmd: c, deps: [made/by/it.csv]}\n"
MAKERS: dict[str, Mapping[str, Content]] = {
    "a stage with a wrong key": {"dvc.yaml": f"stages:\n  a: {{cmd: c, timout: 3, outs: [made/by/it.csv]}}\n{READER}"},
    "a stage that misspells its outputs": {"dvc.yaml": f"stages:\n  a: {{cmd: c, out: [made/by/it.csv]}}\n{READER}"},
    "a stage that makes a folder above": {"dvc.yaml": f"stages:\n  a: {{cmd: 3, outs: [made/by]}}\n{READER}"},
    "a stage that makes the outermost folder": {"dvc.yaml": f"stages:\n  a: {{cmd: 3, outs: [made/]}}\n{READER}"},
    "a stage in a folder of its own": {
        "dvc.yaml": f"stages:\n  a: {{cmd: 3, wdir: made/by, outs: [it.csv]}}\n{READER}"
    },
    "a stage that makes what lies below": {
        "dvc.yaml": "stages:\n  a: {cmd: 3, outs: [made/by/it.csv]}\n  reads: {cmd: c, deps: [made]}\n"
    },
    "a stage with an unknown variable": {"dvc.yaml": f"stages:\n  a: {{cmd: 'c ${{q}}', outs: [made/by]}}\n{READER}"},
    "outputs with a template": {"dvc.yaml": f"stages:\n  a: {{cmd: 3, outs: ['${{q}}']}}\n{READER}"},
    "a group that is not resolved": {
        "dvc.yaml": "stages:\n  g:\n    foreach: ${q}\n    do:\n      cmd: c\n"
        f"      outs: ['made/${{item}}/it.csv']\n{READER}"
    },
    "a file that is not YAML": {
        "dvc.yaml": f"stages:\n{READER}",
        "sub/dvc.yaml": "stages:\n  a:\n    cmd: c\n    outs: [../made/by/it.csv\n",
    },
    "a file of other bytes": {"dvc.yaml": f"stages:\n{READER}", "sub/dvc.yaml": b"\xff\xfes\0t\0"},
    "escapes": {"dvc.yaml": f"stages:\n{READER}", "sub/dvc.yaml": 'stages: {a: {outs: ["../m\\x61de"]}}}'},
    "a file in the folder itself": {"dvc.yaml": f"stages:\n{READER}", "sub/dvc.yaml": "stages: {a: {cmd: 3, x: made}}"},
    "a second pipeline of the same name": {
        "dvc.yaml": f"stages:\n{READER}",
        "runner.yaml": f"{pipeline('p', '  a: {cmd: c}')}---\n{pipeline('p', '  b: {cmd: c, outs: [made]}')}",
    },
    "a glob that names nothing": {
        "runner.yaml": f"{PROJECT}spec: {{specs: [dvc.yaml, piplines/*.yaml]}}\n",
        "dvc.yaml": f"stages:\n{READER}",
    },
    "a .dvc file": {"dvc.yaml": f"stages:\n{READER}", "made/by/it.csv.dvc": "outs: 3\n"},
    "a .dvc file of the folder": {"dvc.yaml": f"stages:\n{READER}", "made.dvc": "nothing: 1\n"},
    "a document of a misspelled kind": {
        "dvc.yaml": f"stages:\n{READER}",
        "runner.yaml": pipeline("p", "  b: {cmd: c, outs: [made]}").replace("Pipeline", "Pipelin"),
    },
    "a document of another version": {
        "dvc.yaml": f"stages:\n{READER}",
        "runner.yaml": pipeline("p", "  b: {cmd: c, outs: [made]}").replace("runner/v1", "runner/v2"),
    },
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_input_that_something_left_out_may_make_is_not_missing(name: str, git_repo: Callable[..., GitRepo]) -> None:
    found = told(git_repo({**DVC_PROJECT, **MAKERS[name]}))
    assert found
    assert not [finding for finding in found if NOWHERE in finding]


OTHERS: dict[str, Mapping[str, Content]] = {
    "a stage": {"dvc.yaml": f"stages:\n  a: {{cmd: 3, outs: [made/by/other.csv, it.csv.d]}}\n{READER}"},
    "a stage that reads it, too": {
        "dvc.yaml": f"stages:\n  a: {{cmd: 3, deps: [made/by/it.csv], outs: [o]}}\n{READER}"
    },
    "a file": {"dvc.yaml": f"stages:\n{READER}", "sub/dvc.yaml": "stages: {a: {cmd: c, outs: [o]\n"},
    "a .dvc file": {"dvc.yaml": f"stages:\n{READER}", "made/by/other.dvc": "outs: 3\n"},
    "a Deployment": {
        "dvc.yaml": f"stages:\n{READER}",
        "runner.yaml": f"{HEAD.format(kind='Deployment', name='d')}  model: {{pipeline: dvc.yaml, out: made, x: 1}}\n",
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_input_that_nothing_left_out_may_make_is_missing(name: str, git_repo: Callable[..., GitRepo]) -> None:
    found = told(git_repo({**DVC_PROJECT, **OTHERS[name]}))
    assert len(found) > 1
    assert [finding for finding in found if NOWHERE in finding]


UNKNOWN_PROJECTS = {
    "a Project that is not YAML": f"{PROJECT}spec: {{specs: [a/dvc.yaml]\n",
    "a Project of another version": f"{PROJECT}spec: {{specs: [a/dvc.yaml]}}\n".replace("v1", "v2"),
    "a Project without a list": f"{PROJECT}spec: {{specs: a/dvc.yaml}}\n",
    "a misspelled list": f"{PROJECT}spec: {{spec: [a/dvc.yaml]}}\n",
    "a list by another name": f"{PROJECT}spec: {{globs: [a/dvc.yaml]}}\n",
    "a list at the top": f"{PROJECT}specs: [a/dvc.yaml]\n",
    "no mapping": f"{PROJECT}spec: [a/dvc.yaml]\n",
    "a link": None,
    "a folder": "folder",
}


@pytest.mark.parametrize("name", UNKNOWN_PROJECTS)
def test_where_it_is_not_known_which_files_hold_specs_no_other_is_judged(
    name: str, git_repo: Callable[..., GitRepo]
) -> None:
    repo = git_repo({**DVC_PROJECT, "b/dvc.yaml": "stages: 3\n", "pipelines/p.yaml": "apiVersion: runner/v1\n"})
    text = UNKNOWN_PROJECTS[name]
    if text is None:
        (repo.path / "runner.yaml").symlink_to("b/dvc.yaml")
    else:
        repo.write({"runner.yaml" if ":" in text else "runner.yaml/inside": text})
    repo.commit()
    found = findings_of(repo)
    assert found
    assert {finding.split(":")[0] for finding in found} == {"runner.yaml"}


def test_a_broken_document_that_is_no_project_leaves_the_defaults_as_they_are(
    git_repo: Callable[..., GitRepo],
) -> None:
    files = {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Pipeline\n", "b/dvc.yaml": "stages: 3\n"}
    assert {finding.split(":")[0] for finding in findings_of(git_repo(files))} == {"runner.yaml", "b/dvc.yaml"}


def test_paths_are_not_judged_where_it_is_not_known_what_they_are_relative_to(
    git_repo: Callable[..., GitRepo],
) -> None:
    stages = pipeline("p", "  a: {cmd: c, deps: [in]}")
    files = {"a/.dvc/config": "", "b/.dvc/config": "", "a/in": "1", "pipelines/p.yaml": stages}
    assert [finding.partition(": ")[2][:22] for finding in findings_of(git_repo(files))] == ["several DVC projects a"]


def test_a_name_that_something_left_out_may_have_is_not_missing(git_repo: Callable[..., GitRepo]) -> None:
    deployment = f"{HEAD.format(kind='Deployment', name='d')}  model: {{pipeline: p, out: m}}\n"
    monitor = f"{HEAD.format(kind='Monitor', name='m')}  deployment: e\n"
    broken = pipeline("p", "  a: {cmd: c, outs: [m]}").replace("stages", "stagse")
    other = f"{HEAD.format(kind='Deployment', name='e')}  modle: 1\n"
    found = told(git_repo({**DVC_PROJECT, "runner.yaml": "---\n".join([deployment, monitor, broken, other])}))
    assert found
    assert not [finding for finding in found if "there is no" in finding]


def test_a_pipeline_without_its_broken_stage_is_not_remembered(
    git_repo: Callable[..., GitRepo], tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    files = {
        **DVC_PROJECT,
        "dvc.yaml": "stages:\n  a: {cmd: c, dep: [q]}\n  b: {cmd: c}\n",
        "runner.yaml": pipeline("p", "  a: {cmd: 3}\n  b: {cmd: c}") + "---\n" + pipeline("q", "  a: {cmd: '${q}'}"),
    }
    repo = git_repo(files)
    first = findings_of(repo, cache)
    assert len(first) == 3
    assert findings_of(repo, cache) == first


@pytest.mark.parametrize("path", ["runner.yaml", "specs/p.yaml", "dvc.yaml", "a.dvc", "dvc.lock", "params.yaml"])
@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_a_link_or_a_submodule_in_place_of_a_file_is_never_a_defect(
    path: str, mode: str, git_repo: Callable[..., GitRepo]
) -> None:
    files: dict[str, Content] = {
        **DVC_PROJECT,
        "runner.yaml": f"{PROJECT}spec: {{specs: [dvc.yaml, specs/p.yaml]}}\n",
        "dvc.yaml": "stages:\n  a: {cmd: c, params: [x], outs: [o]}\n",
        "params.yaml": "x: 1\n",
        "specs/p.yaml": pipeline("p", "  a: {cmd: c}"),
    }
    repo = git_repo({name: content for name, content in files.items() if name != path})
    repo.write({"target": "elsewhere"})
    target = "100" * 13 + "1" if mode == "160000" else repo.git("hash-object", "-w", "target")
    repo.git("update-index", "--add", "--cacheinfo", f"{mode},{target},{path}")
    repo.git("commit", "--quiet", "--message", "Link")
    found = findings_of(repo)
    assert all(finding.startswith(("runner.yaml", "specs/p.yaml", "dvc.yaml")) for finding in found), found
    if path in ("runner.yaml", "specs/p.yaml"):
        what = "a symbolic link" if mode == "120000" else "a submodule"
        assert found == [f"{path}: `{path}` is {what}, not a file (put the file itself there)"]


def project_of(repo: GitRepo) -> Project:
    """The Project at HEAD alone."""
    with Reader.discover(repo.path) as reader:
        return read_project(reader, reader.resolve("HEAD"), ParseCache(None))


def test_a_project_is_read_beside_a_broken_pipeline_and_not_where_it_is_broken_itself(
    git_repo: Callable[..., GitRepo],
) -> None:
    project = f"{PROJECT}spec: {{branch: prod}}\n"
    repo = git_repo({"runner.yaml": f"{project}---\n{pipeline('p', '  a: {cmd: 3}')}"})
    assert project_of(repo).branch == "prod"
    repo.commit({"runner.yaml": f"{project}---\na: [\n"})
    assert project_of(repo).branch == "prod"
    for broken in (project.replace("prod", "[prod]"), project.replace("prod", "a..b"), "kind: Project\na: [\n"):
        repo.commit({"runner.yaml": broken})
        with pytest.raises(SpecError):
            project_of(repo)
