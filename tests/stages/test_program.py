"""What all stages have in common: help that can be copied."""

from __future__ import annotations

import json
import shlex

import pytest

from runner.specs.builtin_stages import BUILTINS, schema_of
from runner.stages.program import arguments_of, help_of


@pytest.mark.parametrize("name", BUILTINS)
def test_every_example_in_the_help_of_a_stage_means_itself_when_it_is_copied(name: str) -> None:
    shown = [line.partition("Example: ")[2] for line in help_of(name).splitlines() if "Example: " in line]

    given = [arguments_of(name, shlex.split(words))[0] for words in shown]

    properties = schema_of(name)["properties"].items()
    examples = [{option: inner["examples"][0]} for option, inner in properties if "examples" in inner]
    assert [json.dumps(one) for one in given] == [json.dumps(one) for one in examples]
    assert examples
