"""Fakes of the planner's two ports, and a short way to write stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.core.digests import Member, folder_digest, md5_hex
from runner.core.graph import build_graph
from runner.core.nouns import Address, Desired, Out, Param, Pipeline, Project, Stage, TrackedData, Trust
from runner.core.plan import Plan, Walk, Wishes, make_plan
from runner.core.recorded import Entry, Hit, OutFact, Verified

COMMIT = "c" * 40


def stage(
    name: str,
    deps: Iterable[str] = (),
    outs: Iterable[str | Out] = (),
    params: Iterable[Param] = (),
    **more: Any,
) -> Stage:
    """A stage of the pipeline `p`."""
    made = tuple(Out(out) if isinstance(out, str) else out for out in outs)
    return Stage(Address("p", name), (f"make {name}",), deps=tuple(deps), outs=made, params=tuple(params), **more)


def desired(*stages: Stage, tracked: Mapping[str, TrackedData] | None = None, **more: Any) -> Desired:
    """What a commit with these stages asks for."""
    pipeline = Pipeline("p", "dvc.yaml", "dvc.yaml", None, stages)
    return Desired(COMMIT, Project(), (pipeline,), tracked or {}, more.pop("locks", {}), **more)


@dataclass
class FakeInputs:
    """Files of a commit by path."""

    files: dict[str, bytes] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    probed: dict[str, str] = field(default_factory=dict)

    def file_digest(self, path: str) -> str | None:
        return md5_hex(self.files[path]) if path in self.files else None

    def folder(self, path: str) -> tuple[Member, ...] | None:
        prefix = "" if path == "." else path + "/"
        found = tuple((n[len(prefix) :], md5_hex(d)) for n, d in sorted(self.files.items()) if n.startswith(prefix))
        return found or None

    def folder_digest(self, path: str) -> str | None:
        members = self.folder(path)
        return folder_digest(members) if members else None

    def params(self, file: str) -> Mapping[str, Any] | None:
        return self.values.get(file)

    def parse_params(self, file: str, data: bytes) -> Mapping[str, Any]:
        return {"made": data.decode()}

    def lookup(self, params: Mapping[str, Any], key: str) -> tuple[bool, Any]:
        return key in params, params.get(key)

    def environment_digest(self, stage_lock: str, python: str | None) -> str | None:
        return md5_hex(self.files[stage_lock]) if stage_lock in self.files else None

    def meaning(self, path: str, kind: str) -> tuple[str, int] | None:
        return None

    def is_executable(self, path: str) -> bool:
        return False

    def is_ignored(self, path: str) -> bool:
        return False

    def ignored_in(self, out: str) -> Callable[[str, bool], bool] | None:
        return None

    def probe(self, path: str) -> str | None:
        return self.probed.get(path)

    def learn(self, path: str, digest: str) -> None:
        self.probed[path] = digest


@dataclass
class FakeRecorded:
    """A recorded state in memory."""

    entries: dict[Address, Entry] = field(default_factory=dict)
    hits: dict[str, Hit] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    listings: dict[str, tuple[Member, ...]] = field(default_factory=dict)
    verifications: dict[str, Verified] = field(default_factory=dict)

    def current(self, address: Address) -> Entry | None:
        return self.entries.get(address)

    def addresses(self) -> Iterable[Address]:
        return self.entries.keys()

    def find(self, key: str) -> Hit | None:
        return self.hits.get(key)

    def find_here(self, key: str) -> Hit | None:
        hit = self.hits.get(key)
        return hit if hit is not None and not hit.ref else None

    def verified(self, key: str) -> Verified | None:
        return self.verifications.get(key)

    def listing(self, md5: str) -> tuple[Member, ...] | None:
        return self.listings.get(md5)

    def small(self, md5: str) -> bytes | None:
        return self.objects.get(md5)


@dataclass
class World:
    """Desired, inputs and recorded facts that can be planned from and run in memory."""

    wanted: Desired
    inputs: FakeInputs
    recorded: FakeRecorded = field(default_factory=FakeRecorded)

    def walk(self, wishes: Wishes | None = None, trust: Trust = Trust.TRUSTED) -> Walk:
        graph = build_graph(self.wanted.stages())
        return Walk(self.wanted, graph, self.inputs, self.recorded, wishes or Wishes(occasion=COMMIT), trust)

    def plan(self, wishes: Wishes | None = None) -> Plan:
        walk = self.walk(wishes)
        found = make_plan(walk, None)
        assert walk.findings == []
        return found

    def actions(self, wishes: Wishes | None = None) -> dict[str, str]:
        return {step.address.stage: step.action.value for step in self.plan(wishes).steps}

    def run_all(self, content: str = "") -> list[str]:
        """Run whatever the plan asks for, as an execution would; returns the names of the stages that ran."""
        walk = self.walk()
        ran: list[str] = []
        for address in walk.graph.order:
            step = walk.decide(walk.graph.stages[address])
            if step.action.value == "run":
                assert step.key is not None
                assert step.material is not None
                ran.append(address.stage)
                outs = tuple(
                    OutFact(out.path, md5_hex(f"{address}{content}".encode()))
                    for out in walk.graph.stages[address].outs
                )
                entry = Entry(address, step.key, "runner", step.material.as_json(), outs, record=len(ran))
                self.recorded.hits[step.key] = Hit(step.key, True, "", len(ran), address, outs)
                walk.settle(address, outs)
                self.recorded.entries[address] = entry
            elif step.entry is not None:
                self.recorded.entries[address] = step.entry
        return ran
