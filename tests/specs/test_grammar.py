"""Where there is nothing to resolve, DVC's resolver is not asked; and would have said the same."""

from __future__ import annotations

import posixpath
from typing import Any

import pytest

from runner.errors import Finding, SpecError
from runner.specs import grammar
from runner.specs.grammar import GitFiles, Resolved, resolve
from runner.specs.places import Locator
from runner.specs.yaml12 import DVC_YAML_BOUNDS
from tests.counted import calls

STAGE = {
    "cmd": "echo $HOME > b",
    "deps": ["a"],
    "params": ["lr", {"other.yaml": None}],
    "outs": [{"b": {"cache": False}}],
}
SECTIONS = {
    "metrics": ["m.json", {"n.json": None}],
    "params": ["p.yaml"],
    "plots": ["x.csv", {"y.csv": {"x": "a"}}],
    "artifacts": {"model": {"path": "m", "type": None}},
    "datasets": [{"name": "d", "url": "https://host/d"}],
}
PLAIN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no stages": {"stages": {}},
    "a stage": {
        "stages": {"a": STAGE, "b": {"cmd": ["one", "two"], "wdir": "sub", "frozen": True, "meta": {"n": 1.5}}}
    },
    "sections": {"stages": {"a": STAGE}, **SECTIONS},
    "a dollar": {"stages": {"a": {"cmd": "echo $A {x} $(b) \\$c"}}},
}
ASKED: dict[str, dict[str, Any]] = {
    "a template": {"stages": {"a": {"cmd": "echo ${lr}"}}},
    "one that is escaped": {"stages": {"a": {"cmd": "echo \\${lr}"}}},
    "a group": {"stages": {"a": {"foreach": [1, 2], "do": {"cmd": "x"}}}},
    "a matrix": {"stages": {"a": {"matrix": {"x": [1, 2]}, "cmd": "x"}}},
    "variables": {"vars": [{"x": 1}], "stages": {"a": {"cmd": "x"}}},
    "variables of a stage": {"stages": {"a": {"vars": ["params.yaml"], "cmd": "x"}}},
    "the name of a generated stage": {"stages": {"a@b": {"cmd": "x"}}},
    "a template in a section": {"stages": {}, "plots": ["${lr}"]},
}
FILES: dict[str, Any] = {"params.yaml": {"lr": 0.1}, "sub/params.yaml": {}, "broken/params.yaml": None}


def _files() -> GitFiles:
    def load(path: str, _: str) -> dict[Any, Any]:
        if FILES[path] is None:
            raise SpecError([Finding(path, 1, 1, "broken")])
        found: dict[Any, Any] = FILES[path]
        return found

    folders = {posixpath.dirname(path) for path in FILES} | {"a folder/params.yaml"}
    return GitFiles(
        lambda path: ("100644", "1") if path in FILES else None,
        folders.__contains__,
        target_of=lambda oid: "",
        load=load,
        text_of=lambda path, oid: b"",
    )


def _resolved(definition: dict[str, Any], base: str) -> tuple[Resolved, list[Finding]]:
    return resolve(definition, base, _files(), {}, Locator("dvc.yaml", lambda: b""))


def _by_dvc(definition: dict[str, Any], base: str) -> tuple[Resolved, list[Finding]]:
    locator = Locator("dvc.yaml", lambda: b"")
    return grammar._Resolution(definition, base, _files(), {}, locator, DVC_YAML_BOUNDS).run()


@pytest.mark.parametrize("base", [".", "sub", "elsewhere", "broken", "a folder"])
@pytest.mark.parametrize("name", PLAIN)
def test_what_holds_no_template_is_what_dvc_makes_of_it(name: str, base: str) -> None:
    with calls(grammar._Resolution.run) as asked:
        ours = _resolved(PLAIN[name], base)
    assert bool(asked) == (base in ("broken", "a folder"))
    assert ours == _by_dvc(PLAIN[name], base)


@pytest.mark.parametrize("name", ASKED)
def test_all_else_is_left_to_dvc(name: str) -> None:
    with calls(grammar._Resolution.run) as asked:
        _resolved(ASKED[name], ".")
    assert asked == {"run": 1}
