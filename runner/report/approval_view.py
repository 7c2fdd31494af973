"""What a person is about to sign, and what became of it, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.core.gates import Effect
from runner.core.releases import PRODUCTION
from runner.report.style import Style

if TYPE_CHECKING:
    from runner.core.approvals import Paper


def paper_lines(paper: Paper, keyid: str, style: Style) -> list[str]:
    """Everything that is signed: model, plan and commit, with what the gates said and what is replaced."""
    said, asked = paper.said, paper.said.question
    where = "" if asked.environment == PRODUCTION else f" in {asked.environment}"
    verb = "approve" if said.approved else "reject"
    rows = [
        ("model", f"{said.model}  (DVC: {asked.md5})"),
        ("plan", asked.plan),
        ("commit", f"{asked.commit}  ({asked.watched})"),
        ("key", keyid),
    ]
    title = Style.safe(f"{asked.deployment} v{paper.version}{where} as {said.role}")
    lines = [f"{style.bold(verb)} {title}  {style.dim(Style.safe(paper.why))}"]
    lines += [f"  {name:<8}{Style.safe(value)}" for name, value in rows]
    if paper.judgement is None:
        lines.append(f"  {'gates':<8}not asked again: the model was released before")
    for condition in paper.judgement.conditions if paper.judgement is not None else ():
        word = style.green("pass") if condition.effect is Effect.PASS else style.yellow(condition.effect.value)
        lines.append(f"  {'gate':<8}{word}  {Style.safe(f'{condition.gate.name}: {condition.message}')}")
    if said.reason:
        lines.append(f"  {'reason':<8}{Style.safe(said.reason)}")
    return lines


def handed_in_text(paper: Paper, ref: str, style: Style) -> str:
    """What is on the remote now, and what happens next."""
    said, asked = paper.said, paper.said.question
    word = style.green("approved") if said.approved else style.yellow("rejected")
    what = f"{asked.deployment}@{asked.digest} ({asked.environment}) as {said.role}"
    branch = ref.removeprefix("refs/heads/")
    place = f"The remote takes no refs but branches and tags, so it is the branch {Style.safe(branch)}.\n"
    more = place if branch != ref else ""
    return f"{word} {Style.safe(what)}\n{more}The next reconcile looks at it.\n"
