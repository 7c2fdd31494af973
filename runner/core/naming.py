"""Naming stages as people do: `train`, `churn:train`, `sub/dvc.yaml:train@us`, or a group for all of its members."""

from __future__ import annotations

from collections.abc import Iterable

from runner.core.nouns import Address
from runner.errors import InputError


def find_stages(name: str, stages: Iterable[Address]) -> list[Address]:
    """Every stage a name stands for; raises InputError where it stands for none, or for stages of several pipelines."""
    known = list(stages)
    exact = [address for address in known if str(address) == name]
    if exact:
        return exact
    matches = [address for address in known if address.stage == name]
    matches = matches or [
        address
        for address in known
        if address.stage.partition("@")[0] == name.partition(":")[2] and address.pipeline == name.partition(":")[0]
    ]
    matches = matches or [
        address for address in known if "@" in address.stage and address.stage.partition("@")[0] == name
    ]
    if not matches:
        import difflib  # imported late: start-up

        close = difflib.get_close_matches(name, [text for a in known for text in (a.stage, str(a))], n=1)
        hint = f"did you mean {close[0]}?" if close else "`runner status` lists them"
        raise InputError(f"there is no stage {name}", hint)
    if len({address.pipeline for address in matches}) > 1:
        raise InputError(f"several pipelines have a stage {name}", "say one of: " + ", ".join(map(str, matches)))
    return matches


def find_stage(name: str, stages: Iterable[Address]) -> Address:
    """The one stage a name stands for; raises InputError where it stands for several."""
    matches = find_stages(name, stages)
    if len(matches) > 1:
        raise InputError(f"{name} stands for several stages", "say one of: " + ", ".join(map(str, matches)))
    return matches[0]
