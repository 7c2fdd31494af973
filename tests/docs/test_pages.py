"""What the pages name exists: links, headings, files, functions, commands and options."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runner.core.actions import Action
from runner.errors import ExitCode
from runner.resources import schema_file
from runner.specs.builtin_stages import BUILTINS, schema_of
from runner.stages.contracts.contract import read_contract
from tests.docs.commands import Command, commands
from tests.docs.pages import PAGES, ROOT, anchors, blocks, links, page, sections, without_blocks

_IDS = [str(path.relative_to(ROOT)) for path in PAGES]
_CODE = re.compile(r"`([^`\n]+)`")


@pytest.mark.parametrize("path", PAGES, ids=_IDS)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(path: Path) -> None:
    broken = []
    for link in links(path.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=_IDS)
def test_every_path_of_this_repository_that_a_page_names_exists(path: Path) -> None:
    roots = ("runner/", "tests/", "schemas/", "templates/", "docs/", "examples/", "benchmarks/", ".github/", ".ci/")
    named = list(_CODE.findall(without_blocks(path.read_text(encoding="utf-8"))))
    own = [text for text in named if re.fullmatch(r"[\w./-]+", text) and text.startswith(roots) and text not in roots]
    branches = ("runner/v1", "runner/state", "runner/proposed", ".github/workflows/")
    missing = [text for text in own if not text.startswith(branches) and not (ROOT / text).exists()]
    assert missing == []


def test_every_function_that_the_architecture_names_exists() -> None:
    defined: set[str] = set()
    for file in (ROOT / "runner").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                defined |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
            elif isinstance(node, ast.FunctionDef):
                defined.add(node.name)
    named = re.findall(r"`(\w+(?:\.\w+)?)\(\)`", page("ARCHITECTURE.md"))
    assert len(named) > 40
    assert [name for name in named if name not in defined] == []


def test_the_order_of_rooms_is_the_one_that_is_checked() -> None:
    (chain,) = [text for block in blocks(page("ARCHITECTURE.md")) if (text := block.text).startswith("cli > ")]
    stated = [set(floor.split(" | ")) for floor in chain.strip().split(" > ")]
    # The order is written down for rooms that are still to come as well.
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = project.partition("layers = [")[2].partition("]")[0]
    floors = [set(re.findall(r"\w+", floor)) for floor in re.findall(r'"([^"]+)"', layers)]
    built = {
        path.stem for path in (ROOT / "runner").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert stated == [floor & built for floor in floors]


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_every_command_is_described_with_all_of_its_options_and_no_other(command: Command) -> None:
    found = sections(page("docs/commands.md"))
    assert f"runner {command.name}" in found
    text = found[f"runner {command.name}"]
    described = _options_in_tables(text)
    if "#options-of-all-that-run" in text or command.name == "reconcile":
        described |= _options_in_tables(
            page("docs/commands.md").partition("### Options of all that run")[2].partition("\n## ")[0]
        )
    general = _options_in_tables(page("docs/commands.md").partition("\n## ")[0])
    assert described | general == set(command.options)


def test_no_command_is_described_that_does_not_exist() -> None:
    assert set(sections(page("docs/commands.md"))) == {f"runner {command.name}" for command in commands()}


@pytest.mark.parametrize("path", PAGES, ids=_IDS)
def test_every_call_of_the_runner_that_a_page_shows_is_one_that_it_takes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    calls = re.findall(r"`(runner [a-z][^`\n]*)`", without_blocks(text))
    calls += re.findall(r"^\$ (runner [^\n|&#]*)", "\n".join(block.text for block in blocks(text)), re.MULTILINE)
    wrong = [call for call in calls if not _is_known(call)]
    assert wrong == []


@pytest.mark.parametrize("name", ["README.md", "docs/commands.md"])
def test_every_exit_code_is_explained(name: str) -> None:
    table = page(name)
    rows = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(",")}
    assert {int(code) for code in ExitCode} <= rows


def test_every_action_is_explained() -> None:
    text = sections(page("docs/commands.md"))["runner plan"]
    assert [action.value for action in Action if f"| `{action.value}` |" not in text] == []


@pytest.mark.parametrize("kind", ["Project", "Pipeline", "dvc"])
def test_every_field_of_the_schemas_is_in_the_reference(kind: str) -> None:
    text = page("docs/specs.md")
    fields = _fields(json.loads(schema_file(kind).read_text(encoding="utf-8")))
    assert (
        sorted(
            field
            for field in fields
            if not re.search(rf"`(?:[\w.]+\.)?{field}`|[{{,] ?{field}:|^ *{field}:", text, re.M)
        )
        == []
    )


def test_every_field_of_a_gate_is_on_its_page_and_no_other() -> None:
    schema = json.loads(schema_file("Deployment").read_text(encoding="utf-8"))
    fields = set(schema["$defs"]["gate"]["properties"])
    rows = re.findall(r"^\| (`[^|]*) \|", sections(page("docs/gates.md"))["What a gate may say"], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == fields


def test_the_picture_is_drawn_from_a_plan_and_says_so_in_words() -> None:
    root = ElementTree.fromstring((ROOT / "docs/images/plan.svg").read_text(encoding="utf-8"))
    words = "".join(root.itertext())
    assert "runner plan" in root.attrib["aria-label"]
    assert "desired" in words
    assert any(f"{action.value}" in words for action in Action)


def _options_in_tables(text: str) -> set[str]:
    rows = re.findall(r"^\| (`-[^|]*(?:\\\|[^|]*)*)\|", text, re.MULTILINE)
    return {option for row in rows for option in re.findall(r"`(--?[\w-]+)", row)}


@pytest.mark.parametrize("name", BUILTINS)
def test_every_stage_of_the_library_is_described_with_all_of_its_fields_and_no_other(name: str) -> None:
    described = set(re.findall(r"^\| `(\w+)`", sections(page("docs/stages.md"))[name], re.MULTILINE))
    assert described == set(schema_of(name)["properties"])


def test_every_field_of_a_contract_is_described_and_its_example_is_one(tmp_path: Path) -> None:
    text = page("docs/contracts.md")
    fields = _fields(json.loads(schema_file("contract").read_text(encoding="utf-8")))
    checks = {"columns", "range"}  # named after what they are about
    assert sorted(field for field in fields - checks if not re.search(rf"`{field}`", text)) == []
    (example,) = [block.text for block in blocks(text) if block.mark == "contract"]
    (tmp_path / "contract.yaml").write_text(example, encoding="utf-8")
    assert read_contract(tmp_path / "contract.yaml").columns


def _is_known(call: str) -> bool:
    words = call.split()
    known = {command.name: command for command in commands()}
    name = " ".join(words[1:3]) if " ".join(words[1:3]) in known else words[1]
    if name not in known:
        return name in ("runs", "claims", "contract") and len(words) == 2
    options = known[name].options
    if name == "stage" and len(words) > 2:  # those of the stage itself
        schemas = [schema_of(stage) for stage in (BUILTINS if words[2] == "NAME" else [words[2]])]
        own = {f"--{key}" for one in schemas for key in one["properties"]}
        options = own | {"--help", "--out", "--metrics", "--plots"}
    return all(word.strip("'").partition("=")[0] in options for word in words if word.startswith("-") and word != "--")


def _fields(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {name for item in schema for name in _fields(item)}
    if not isinstance(schema, dict) or "Not handled yet" in str(schema.get("description", "")):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    inner = [value for key, value in schema.items() if key not in ("examples", "default")]
    return own | _fields(inner)


def test_every_message_that_the_troubleshooting_page_explains_is_one_that_the_code_says() -> None:
    files = [*(ROOT / "runner").rglob("*.py")]
    code = " ".join(" ".join(file.read_text(encoding="utf-8").replace("`", "") for file in files).split())
    messages = re.findall(r"^\| `([^|]+)`[^|]* \|", page("docs/troubleshooting.md"), re.MULTILINE)
    assert len(messages) > 60
    unknown = [
        (message, part)
        for message in messages
        for part in message.replace("`", "").split("…")
        if part.strip(" :,';") not in code
    ]
    assert unknown == []
