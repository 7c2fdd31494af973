"""Parameter files and dotted keys are read as DVC reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvc.dependency.param import read_param_file
from dvc.fs import LocalFileSystem

from runner.errors import InputError, SpecError
from runner.specs.params import MISSING, load_params, load_params_cached, lookup
from runner.specs.parse_cache import ParseCache

FILES = {
    "params.yaml": "lr: 1e-3\nd: 010\nt: yes\ndate: 2024-01-01\nn: {a: [1, {b: 2}], 1: x}\nempty: {}\nnone: null\n",
    "conf.yml": "a: 1\n",
    "no_suffix": "a: {b: 1}\n",
    "empty.yaml": "",
    "null.yaml": "null\n",
    "p.json": '{"a": {"b": [1, 2.5, null, true]}, "c": "x"}',
    "empty.json": "{}",
    "p.toml": 'a = 1\nf = 1e-3\nd = 2024-01-01\n[t.u]\nx = [1, 2]\ns = "y"\n[[list]]\nk = 1\n',
    "p.py": """\
import os
A = 1
B: float = 1e-3
C = [1, 2]
D = {"x": 1, "y": [2]}
E = (1, 2)
F = {3, 4}
G = -5
H = os.environ
I = J = 3
K = "a" "b"
L = None
M: int
class Train:
    LR = 0.1
    def __init__(self):
        self.depth = 3
        local = 4
        self.other: int = 5
    def other(self):
        self.unseen = 1
    class Inner:
        X = 1
def function():
    Y = 1
""",
}
KEYS = [
    "lr", "d", "t", "n", "n.a", "n.a.0", "n.a.1.b", "n.a.-1.b", "n.1", "n.a.7", "n.a.b", "nope", "lr.x", "none",
    "empty", ".lr", "a", "a.b", "a.b.1", "a.b.-4", "t.u.x.0", "list.0.k", "A", "Train.LR", "Train.depth",
    "Train.local", "Train.Inner.X", "E.0", "D.y.0", "I", "n.?.1.b", "*.u.s", "D.*.0", "**.b.3", "c.**", "Tr*.LR",
]  # fmt: skip


def by_dvc(path: Path, keys: list[str] | None = None) -> Any:
    return read_param_file(LocalFileSystem(), str(path), keys, flatten=True)


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_what_dvc_reads_in_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])

    assert load_params(FILES[name].encode(), name) == by_dvc(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
def test_a_key_finds_what_dvc_finds(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    params = load_params(FILES[name].encode(), name)

    for key in KEYS:
        expected = by_dvc(tmp_path / name, [key]).get(key, MISSING)
        assert lookup(params, key) == expected, key


def test_a_glob_that_fits_two_values_is_refused_as_dvc_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: {x: 1, y: 2}\n")

    with pytest.raises(ValueError, match="only one leaf"):
        by_dvc(tmp_path / "p.yaml", ["a.*"])
    with pytest.raises(InputError, match="fits more than one value"):
        lookup({"a": {"x": 1, "y": 2}}, "a.*")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "- 1\n", "p.yaml: the parameters are no mapping (write `name: value` lines)"),
        ("p.yaml", "a: [1\n", "p.yaml:2:1: not YAML: a list in brackets is not closed (add `]` or the missing comma)"),
        ("p.json", '{"a": }', "p.json:1:7: not JSON: Expecting value (mend the syntax)"),
        ("p.py", "a = (\n", "p.py:1:5: not Python: '(' was never closed (mend the syntax)"),
        (
            "p.json",
            "[" * 100_000,
            "p.json: the JSON is nested too deeply or holds a number that is too long (simplify it)",
        ),
        ("p.yaml", "a: \udcff", "p.yaml:1:4: the text is not UTF-8 (save the file as UTF-8)"),
    ],
)
def test_a_broken_file_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_params(text.encode("utf-8", "surrogateescape"), name)

    assert [str(finding) for finding in raised.value.findings] == [message]


@pytest.mark.parametrize("text", ["x = (" * 5000, "x = " + "-" * 200_000 + "1", "x = [" * 300])
def test_python_that_is_made_to_exhaust_the_parser_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        load_params(text.encode(), "p.py")


def test_a_broken_toml_file_is_named_with_its_place() -> None:
    with pytest.raises(SpecError) as raised:
        load_params(b"a = 1\nb = \n", "p.toml")

    (finding,) = raised.value.findings
    assert (finding.file, finding.line) == ("p.toml", 2)


@pytest.mark.parametrize("name", FILES)
def test_values_come_back_from_the_cache_as_they_were(name: str, tmp_path: Path) -> None:
    cache = ParseCache(tmp_path)
    blob = FILES[name].encode()

    first = load_params_cached("0" * 40, blob, name, cache)

    assert load_params_cached("0" * 40, None, name, cache) == first == load_params(blob, name)
    assert load_params_cached("1" * 40, None, name, cache) is None


def test_python_parameters_are_never_executed(tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    load_params(f"A = open({str(witness)!r}, 'w')\nB = 1\n".encode(), "p.py")

    assert not witness.exists()
