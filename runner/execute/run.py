"""One run of one stage: place the inputs, clear the outputs, run the commands, take the outputs into the cache."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.commands import commands_of
from runner.core.lock import lock_entry
from runner.core.nouns import EnvironmentSpec, Out, Stage, Trust
from runner.core.plan import Step, Walk
from runner.core.recorded import InputSizes, OutFact
from runner.core.records import RunFacts
from runner.data.links import is_plain_way
from runner.data.walk import Ignoring
from runner.errors import HostError, InputError
from runner.execute.context import Context, Event
from runner.execute.ignored import drop_ignored
from runner.execute.materials import Material, Materials
from runner.execute.metrics import Written, recorded_metrics, short_secrets, told_secret, too_large
from runner.execute.output_links import leads_out, links_of, mend_links
from runner.execute.worktree import Room, Worktree
from runner.failpoints import reached
from runner.process.isolation import LevelRefused
from runner.process.private_folder import open_up
from runner.process.redaction import redacted_text
from runner.process.stage_run import Outcome, StageRun, run_stage, upper_layer
from runner.values import dataclass, field, replace

_MOST_UNDECLARED = 100
_NO_ROOM_BYTES = 256 * 1024
"""With less left than this a disk counts as full."""


@dataclass(frozen=True, slots=True)
class Running:
    """One run while it is under way."""

    run_id: str
    stage: Stage
    step: Step
    started_at: str
    remade: bool
    started_from: Mapping[str, str] = field(default_factory=dict)
    inputs: InputSizes = field(default_factory=dict)
    ignored: Mapping[str, Ignoring] = field(default_factory=dict)
    """By output, where there are `.dvcignore` files: what they leave out of it."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of the commands of a run."""

    reason: str
    message: str = ""
    """Why it failed, for people."""
    outs: tuple[OutFact, ...] | None = None
    """None where it failed."""
    metrics: Mapping[str, Any] = field(default_factory=dict)


def perform(
    walk: Walk, context: Context, materials: Materials, step: Step, cancel: threading.Event, *, remade: bool
) -> RunFacts:
    """Run a stage to its end and say what happened.

    Raises BytesMissing where an input's bytes are nowhere, HostError where this host cannot run it.
    """
    stage = walk.graph.stages[step.address]
    started_at = datetime.datetime.fromtimestamp(context.clock(), datetime.UTC).isoformat(timespec="milliseconds")
    rules = {path: walk.inputs.ignored_in(path) for path in stage.out_paths}
    ignored = {path: ignores for path, ignores in rules.items() if ignores is not None}
    running = Running(context.run_ids(), stage, step, started_at, remade, ignored=ignored)
    wanted = tuple(materials.of(stage))
    attempt, is_told = 1, False
    while True:
        try:
            with context.worktrees.room(material.path for material in wanted) as room:
                ready = _make_ready(walk, materials, wanted, running, room)
                if not is_told:
                    context.on_event(Event("started", stage.address, run=None))
                    is_told = True
                facts = _attempt(context, ready, room, attempt, cancel)
        except LevelRefused as refused:
            context.worktrees.lower(refused)  # nothing has started: the inputs are placed as the next level needs them
            continue
        if facts.succeeded or facts.reason == "cancelled" or attempt > stage.retries:
            return facts
        context.on_event(
            Event("retried", stage.address, f"try {attempt} of {stage.retries + 1} failed: {facts.message}")
        )
        attempt += 1


def _make_ready(walk: Walk, materials: Materials, wanted: Sequence[Material], running: Running, room: Room) -> Running:
    """Have inputs in the room and no outputs, but for the version that a persist output starts from."""
    stage = running.stage
    for material in wanted:
        materials.place(material, room.tree, writable=not room.is_layered)
    started_from = _prepare_outputs(walk, materials, stage, room)
    reached("inputs-placed")
    return replace(running, started_from=started_from, inputs=materials.sizes(stage, room.tree.folder))


def _attempt(context: Context, running: Running, room: Room, attempt: int, cancel: threading.Event) -> RunFacts:
    """Run the commands once, take what they made, and leave the room as it was but for that."""
    stage = running.stage
    with contextlib.ExitStack() as held:
        run = _stage_run(context, running, room, held, cancel)
        room.watch()
        try:
            outcome = run_stage(run, cancel)
        finally:
            stray = room.strays(stage.out_paths)
        reached("commands-ended")
        if stray:
            outcome = replace(outcome, undeclared=tuple(stray.names()[:_MOST_UNDECLARED]))
        if outcome.log_left_out_bytes:
            text = f"printed more than its log may hold: {outcome.log_left_out_bytes:,} bytes of it are left out"
            context.on_event(Event("notice", stage.address, text))
    try:
        _check_room_was_left(stage, outcome, room)
        facts = _facts(context, running, room, outcome, attempt)
    except HostError:
        if not room.is_layered:
            _clear_outputs(room.tree, stage)
        raise
    finally:
        room.tree.undo(stray)
    if not room.is_layered:
        _settle_outputs(room.tree, stage, facts)
    return facts


def _settle_outputs(tree: Worktree, stage: Stage, facts: RunFacts) -> None:
    """In the worktree itself outputs stay for the stages after it; of a run that failed nothing stays."""
    for out in facts.outs:
        tree.placed(out.path, out.md5)
    if not facts.succeeded:
        _clear_outputs(tree, stage)


def _clear_outputs(tree: Worktree, stage: Stage) -> None:
    for out_path in stage.out_paths:
        tree.clear(out_path)


def _check_room_was_left(stage: Stage, outcome: Outcome, room: Room) -> None:
    """A command that fails on a full disk says nothing of the work: the next host, or this one later, can do it.

    Raises HostError; measured before what the stage wrote is dropped.
    """
    if outcome.reason not in ("failed", "killed"):
        return
    for folder in (room.private, room.tree.folder):
        disk = os.statvfs(folder)
        left = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail  # root may take what is reserved
        if left * disk.f_frsize < _NO_ROOM_BYTES or (disk.f_files and not disk.f_ffree):
            raise HostError(
                f"stage {stage.address.stage}: {_why_it_failed(stage, outcome)}, and the disk of {folder} was full",
                "make room on that disk, then run this again; the failure is not recorded",
            )


def _prepare_outputs(walk: Walk, materials: Materials, stage: Stage, room: Room) -> dict[str, str]:
    """Clear the outputs; a persist output gets the version that stands, which is returned by path."""
    standing = walk.recorded.current(stage.address)
    before = {fact.path: fact for fact in standing.outs} if standing else {}
    target = Worktree(upper_layer(room.private), None) if room.is_layered else room.tree
    started_from: dict[str, str] = {}
    for out in stage.outs:
        room.tree.clear(out.path)
        fact = before.get(out.path)
        if out.persist and fact is not None:
            material = Material(out.path, fact.md5, fact.legacy, fact.isexec, out.remote, fact.git_id, producer=None)
            materials.place(material, target, writable=True)
            started_from[out.path] = fact.md5
    return started_from


def _stage_run(
    context: Context, running: Running, room: Room, held: contextlib.ExitStack, cancel: threading.Event
) -> StageRun:
    """What to run; `held` keeps what must not go while it runs."""
    stage = running.stage
    env = {**context.environ, **_dvc_variables(context, stage, room), **dict(stage.env)}
    env |= _secrets_of(context, stage)
    if stage.seed is not None:
        env |= {"PYTHONHASHSEED": str(stage.seed), "RUNNER_SEED": str(stage.seed)}
    if stage.environment is not None:
        env = _in_environment(context, stage.environment, room, env, held, cancel)
    if stage.uses:
        env = _with_own_command(room, stage, env)
    return StageRun(
        commands=commands_of(stage),
        shell=context.shell,
        worktree=room.tree.folder,
        wdir=stage.wdir,
        env=env,
        timeout_seconds=stage.timeout_seconds,
        log_path=context.logs / f"{running.run_id}.log",
        redact={**context.secrets},  # what one stage left in an output, another one may show
        outs=stage.out_paths,
        private_dir=room.private,
        isolation=room.level,
        on_line=lambda line: context.on_event(Event("line", stage.address, line)),
        hidden=context.hidden,
    )


def _secrets_of(context: Context, stage: Stage) -> dict[str, str]:
    missing = [name for name in stage.secrets if name not in context.secrets]
    if missing:
        raise HostError(
            f"stage {stage.address.stage} has to run again and needs the secrets {', '.join(missing)}",
            "put them into the environment, as for its first run",
        )
    return {name: context.secrets[name] for name in stage.secrets}


def _dvc_variables(context: Context, stage: Stage, room: Room) -> dict[str, str]:
    # DVC gives these two to every command; pipelines in the wild read them.
    return {"DVC_ROOT": str(room.tree.folder / context.desired.dvc_root), "DVC_STAGE": stage.address.stage}


def _in_environment(
    context: Context,
    spec: EnvironmentSpec,
    room: Room,
    env: Mapping[str, str],
    held: contextlib.ExitStack,
    cancel: threading.Event,
) -> dict[str, str]:
    from runner.process.environments import in_use  # imported late: only stages with an environment need it

    lock = (room.tree.folder / spec.lock).read_bytes()
    venv = held.enter_context(in_use(lock, spec.python, context.environments, cancel=cancel))
    return {**env, "VIRTUAL_ENV": str(venv.bin_dir.parent), "PATH": f"{venv.bin_dir}:{env.get('PATH', '')}"}


def _with_own_command(room: Room, stage: Stage, env: Mapping[str, str]) -> dict[str, str]:
    """With a PATH on which this `runner` is first, or that of the stage's own environment, which has to hold one."""
    from runner.process.own_command import own_command  # imported late: only stages of the library need it

    path = env.get("PATH", os.defpath)
    if stage.environment is None:
        return {**env, "PATH": f"{own_command(room.private / 'bin')}:{path}"}
    if not os.access(f"{env['VIRTUAL_ENV']}/bin/runner", os.X_OK):
        hint = "add gitops-runner to it, or leave `environment` out"
        raise HostError(f"{stage.environment.lock} does not hold the runner, whose stage `{stage.uses}` is", hint)
    return dict(env)


def _facts(context: Context, running: Running, room: Room, outcome: Outcome, attempt: int) -> RunFacts:
    stage, step = running.stage, running.step
    result = _result(context, running, room, outcome)
    facts = RunFacts(
        run_id=running.run_id,
        address=stage.address,
        key=step.key or "",
        material=step.material.as_json() if step.material else {},
        succeeded=result.outs is not None,
        reason=result.reason,
        message=result.message,
        desired=context.desired.commit,
        started_at=running.started_at,
        seconds=outcome.seconds,
        outs=result.outs or (),
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        attempts=attempt,
        cpu_seconds=outcome.cpu_seconds,
        max_rss_bytes=outcome.max_rss_bytes,
        isolation=outcome.isolation,
        undeclared=tuple(redacted_text(path, context.secrets) for path in outcome.undeclared),
        log_sha256=outcome.log_sha256,
        log_bytes=outcome.log_bytes,
        log_tail=outcome.log_tail if result.outs is None else "",
        metrics=result.metrics,
        started_from=running.started_from,
        host=context.host,
        actor=context.actor,
        trust=context.trust.value,
        inputs=running.inputs,
        location=context.location,
    )
    if facts.succeeded:
        _tell_dvc(context, stage, facts)
    return facts


def _result(context: Context, running: Running, room: Room, outcome: Outcome) -> _Result:
    """What came of the commands, with outputs in the cache where they ended well."""
    stage = running.stage
    if outcome.reason != "ok":
        return _Result(outcome.reason, _failure(stage, outcome))
    made = Written(outcome.output_root)
    for path, ignores in running.ignored.items():
        if is_plain_way(outcome.output_root, os.path.dirname(path)):  # else it is not this output's alone
            drop_ignored(outcome.output_root / path, ignores)
    wrong = _wrong_outputs(context, stage, outcome)
    wrong = wrong or too_large(stage, made) or told_secret(stage, made, context.secrets)
    if wrong:
        return _Result("outputs", redacted_text(wrong, context.secrets))
    try:
        outs = tuple([_take(context, running, out, room, outcome) for out in stage.outs])
    except InputError as error:  # a broken link, a pipe, a `.dvcignore` inside: nothing that DVC could keep either
        message = error.message.replace(f"{outcome.output_root}{os.sep}", "")
        return _Result("outputs", redacted_text(message, context.secrets))
    reached("outputs-stored")
    for said in short_secrets(stage, made, context.secrets):
        context.on_event(Event("notice", stage.address, said))
    metrics = recorded_metrics(stage, made, context.secrets)
    return _Result("remade" if running.remade else "ok", outs=outs, metrics=metrics)


def _wrong_outputs(context: Context, stage: Stage, outcome: Outcome) -> str:
    """What is wrong with the outputs of a command that ended well; empty where nothing is."""
    missing = [out.path for out in stage.outs if not os.path.lexists(f"{outcome.output_root}/{out.path}")]
    if missing:
        return f"exit code 0, but {', '.join(missing)} was not written"
    if outcome.undeclared and context.desired.project.strict:
        return f"wrote to places it does not declare: {', '.join(outcome.undeclared[:5])}"
    return ""


def _tell_dvc(context: Context, stage: Stage, run: RunFacts) -> None:
    """DVC's run-cache learns of trusted runs, so that `dvc repro` elsewhere does not repeat them (DESIGN §8)."""
    from runner.data import runcache  # imported late: only where something ran

    if (
        context.run_cache
        and context.trust is Trust.TRUSTED
        and runcache.saved_by_dvc(stage)
        and not stage.is_beyond_dvc
    ):
        runcache.save(context.cache.root, lock_entry(stage, run.material, run.outs, run.inputs))


def _failure(stage: Stage, outcome: Outcome) -> str:
    left_out = outcome.log_left_out_bytes
    flooded = f"; it printed more than its log may hold, {left_out:,} bytes of it are left out" if left_out else ""
    return _why_it_failed(stage, outcome) + flooded


def _why_it_failed(stage: Stage, outcome: Outcome) -> str:
    if outcome.reason == "timeout":
        return f"took longer than its timeout of {stage.timeout_seconds:g} s"
    if outcome.reason == "cancelled":
        return "was cancelled"
    if outcome.signal is not None:
        why = ": out of memory" if outcome.reason == "oom" else ""
        why = ", and so was the process that watched it" if outcome.supervisor_lost else why
        return f"was killed by signal {outcome.signal}{why}"
    return f"exit code {outcome.exit_code}"


def _take(context: Context, running: Running, out: Out, room: Room, outcome: Outcome) -> OutFact:
    """An output goes into the cache. Raises InputError for one that no cache can keep."""
    source = outcome.output_root / out.path
    open_up(source)
    links = list(links_of(source))
    if room.is_layered:
        mend_links(outcome.output_root, room.tree.folder, links)
    link = leads_out(source, links, (room.tree.folder, room.private))
    if link is not None:
        raise InputError(f"{link}: a link that leads out of the repository", "copy what it leads to")
    try:
        cache, is_given = context.outputs or context.cache, _is_given(out.path, room, outcome)
        saved = cache.save(source, ignore=running.ignored.get(out.path), give=is_given)
    except HostError as error:
        raise HostError(f"the output {out.path} cannot be kept: {error.message}", error.hint) from error
    return OutFact(
        out.path,
        saved.md5,
        saved.size_bytes,
        saved.nfiles,
        saved.isexec,
        cached=out.cache,
        push=out.push,
        remote=out.remote,
    )


def _is_given(path: str, room: Room, outcome: Outcome) -> bool:
    """Whether the cache may keep an output's own files: they lie in a layer that is dropped, and nobody is left who
    could write to them."""
    if not room.is_layered or outcome.leftovers or outcome.supervisor_lost:
        return False
    # Behind a link on the way to it they may be the commit's, or another output's.
    return is_plain_way(outcome.output_root, os.path.dirname(path))
