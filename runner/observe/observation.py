"""One observation: what a commit asks for and what a state holds, ready to be planned from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runner.core.graph import CycleError, Graph, build_graph
from runner.core.nouns import Desired, Project, Stage, Trust
from runner.core.plan import Plan, Walk, Wishes, make_plan
from runner.core.recorded import Recorded
from runner.errors import Finding, SpecError
from runner.git.read import Reader
from runner.git.tree import SUBMODULE, SYMLINK, Tree
from runner.ledger.state import Chain, Nothing, State
from runner.observe.checks import HostLimits, frozen_findings, host_findings
from runner.observe.inputs import GitInputs, overlay_files
from runner.observe.memo import DigestMemo
from runner.specs.desired import read_specs
from runner.specs.layout import IGNORE_LIMIT_BYTES, without_runner_folders
from runner.specs.parse_cache import ParseCache
from runner.specs.places import is_inside
from runner.values import dataclass, field, replace

if TYPE_CHECKING:
    from runner.data.dvcignore import Ignore
    from runner.data.walk import Ignoring


@dataclass(frozen=True, slots=True)
class Observation:
    """Desired and recorded, both read; nothing was run and nothing fetched."""

    reader: Reader
    commit: str
    tree: Tree
    desired: Desired
    graph: Graph
    inputs: GitInputs
    overlay: dict[str, bytes]
    """Files that worktrees and the state branch hold with other bytes than the commit."""
    state: State | None
    others: tuple[State, ...]
    """Recorded states whose successful runs may be taken over."""
    trust: Trust
    object_bytes: Callable[[str], bytes | None]
    settled: dict[Wishes, Plan] = field(default_factory=dict)
    """Plans that asked for nothing, by what was wished: whoever keeps an observation need not make them anew."""

    @property
    def has_specs(self) -> bool:
        """Whether the commit has a `runner.yaml`, or any pipeline."""
        return "runner.yaml" in self.tree.files or bool(self.desired.pipelines)

    def recorded(self, base: State | None) -> Chain:
        """The recorded facts, on top of `base`."""
        return Chain(base or Nothing(), self.others, self.object_bytes)

    def walk(self, recorded: Recorded, wishes: Wishes | None = None) -> Walk:
        """A fresh walk through the desired stages."""
        return Walk(self.desired, self.graph, self.inputs, recorded, wishes or Wishes(occasion=self.commit), self.trust)

    def plan(self, wishes: Wishes | None = None) -> tuple[Plan, Walk]:
        """The plan and the walk it came from; raises SpecError with every finding."""
        wishes = wishes or Wishes(occasion=self.commit)
        walk = self.walk(self.recorded(self.state), wishes)
        if wishes in self.settled:
            for step in self.settled[wishes].steps:
                walk.settle(step.address, step.entry.outs if step.entry else ())
            return self.settled[wishes], walk
        plan = make_plan(walk, self.state.commit if self.state else None)
        if walk.findings:
            raise SpecError(walk.findings)
        return plan, walk


def observe(
    reader: Reader,
    commit: str,
    *,
    state: State | None,
    others: Sequence[State],
    trust: Trust,
    policy: Project | None,
    cache: ParseCache,
    memo: DigestMemo,
    object_bytes: Callable[[str], bytes | None],
    limits: Callable[[], HostLimits],
) -> Observation:
    """Read what `commit` asks for; raises SpecError with everything that is wrong with it.

    `policy` is the project as the base commit has it: a proposal cannot change what decides about itself.
    """
    reading = read_specs(reader, commit, cache)
    desired = reading.desired
    if policy is not None:
        desired = replace(desired, project=_under_policy(desired.project, policy))
    stages = desired.stages()
    findings = [*reading.findings, *host_findings(stages, limits)]
    if findings:
        # Otherwise the plan tells of frozen stages, when runs that wait to be published are recorded too.
        raise SpecError([*findings, *frozen_findings(reading, lambda: state)])
    try:
        graph = build_graph(stages)
    except CycleError as error:
        place = next(stage.place for stage in stages if stage.address == error.path[0])
        raise SpecError(
            [Finding(place.file, place.line, place.column, f"stages wait for each other: {error}")]
        ) from error
    tree = without_runner_folders(reader.tree(commit))
    overlay = overlay_files(desired, tree, reader, cache)
    ignores, ignore_digest = ignore_rules(reader, tree, stages)
    inputs = GitInputs(
        reader,
        tree,
        memo=memo,
        cache=cache,
        ignores=ignores,
        ignore_digest=ignore_digest,
        ignored_in=ignored_outputs(reader, tree, desired.dvc_root),
        overlay=overlay,
    )
    inputs.prefetch(stages)
    return Observation(reader, commit, tree, desired, graph, inputs, overlay, state, tuple(others), trust, object_bytes)


def ignore_rules(reader: Reader, tree: Tree, stages: Sequence[Stage]) -> tuple[Callable[[str], bool], str]:
    """What DVC leaves out of folders, and a digest of the rules; read only where a stage depends on a folder."""
    if not any(tree.is_folder(path) for stage in stages for path in stage.deps):
        return (lambda path: False), ""
    oids = ignore_files(tree)
    from runner.data.dvcignore import Ignore  # imported late: start-up

    ignore = Ignore({name: reader.blob(oid, IGNORE_LIMIT_BYTES) for name, oid in oids.items()})
    return (lambda path: ignore.ignores(path, False)), ",".join(f"{name}={oid}" for name, oid in oids.items())


def ignored_outputs(reader: Reader, tree: Tree, dvc_root: str) -> Callable[[str], Ignoring | None]:
    """What DVC leaves out of outputs; the rules are read when it is asked of the first one: where something runs."""

    @functools.cache
    def rules() -> Ignore | None:
        oids = {path: oid for path, oid in ignore_files(tree).items() if is_inside(path, dvc_root)}
        if not oids:
            return None
        from runner.data.dvcignore import Ignore  # imported late: few have one

        texts = {path: reader.blob(oid, IGNORE_LIMIT_BYTES) for path, oid in oids.items()}
        return Ignore(texts, root=dvc_root)

    def ignored_in(out: str) -> Ignoring | None:
        found = rules()
        return None if found is None else found.below(out)

    return ignored_in


def ignore_files(tree: Tree) -> dict[str, str]:
    """The `.dvcignore` files of a tree, with the ids of their blobs."""
    named = [path for path in tree.paths if path == ".dvcignore" or path.endswith("/.dvcignore")]
    found = {path: tree.files[path] for path in named}
    return {path: entry.oid for path, entry in found.items() if entry.mode not in (SYMLINK, SUBMODULE)}


def _under_policy(project: Project, policy: Project) -> Project:
    return replace(
        project,
        accept_dvc_lock=policy.accept_dvc_lock,
        reuse_proposed=policy.reuse_proposed,
        accept_nondeterministic=policy.accept_nondeterministic,
        strict=policy.strict or project.strict,
        protect=policy.protect,
        allow_removal=policy.allow_removal,
        budget_seconds=project.budget_seconds if policy.budget_seconds is None else policy.budget_seconds,
    )
