"""Cycles and overlaps are found wherever DVC's own graph library finds them."""

from __future__ import annotations

import itertools

import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.nouns import Address, Out, Stage
from runner.specs.graph_checks import Outputs, cycle_findings

NODES = st.integers(min_value=0, max_value=8)


def stage(name: int, deps: set[int]) -> Stage:
    return Stage(
        Address("p", f"s{name}"), ("x",), deps=tuple(f"o{dep}" for dep in sorted(deps)), outs=(Out(f"o{name}"),)
    )


@given(st.dictionaries(NODES, st.sets(NODES, max_size=3), min_size=1))
@settings(max_examples=300, deadline=None)
def test_each_group_of_stages_that_wait_for_each_other_is_named_by_one_real_cycle(graph: dict[int, set[int]]) -> None:
    edges = {node: {other for other in others if other in graph and other != node} for node, others in graph.items()}
    directed = networkx.DiGraph([(node, other) for node, others in edges.items() for other in others])
    groups = [group for group in networkx.strongly_connected_components(directed) if len(group) > 1]
    stages = [stage(node, others) for node, others in edges.items()]

    findings = cycle_findings(stages, Outputs(stages))

    named = []
    for finding in findings:
        path = [int(part.removeprefix("p:s")) for part in finding.message.partition(": ")[2].split(" → ")]
        assert path[0] == path[-1]
        assert all(after in edges[before] for before, after in itertools.pairwise(path))
        named.append(next(index for index, group in enumerate(groups) if set(path) <= group))
    assert sorted(named) == list(range(len(groups)))


def test_inputs_inside_and_above_outputs_name_their_makers() -> None:
    one = Stage(Address("p", "one"), ("x",), outs=(Out("data/a"),))
    two = Stage(Address("p", "two"), ("x",), outs=(Out("data/b/c"),))
    outputs = Outputs([one, two])

    assert outputs.makers("data/a/part.csv") == [one]
    assert outputs.makers("data") == [one, two]
    assert outputs.makers(".") == [one, two]
    assert outputs.makers("data/b") == [two]
    assert outputs.makers("dat") == []
    assert outputs.owner("data/a") is one
