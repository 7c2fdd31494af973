"""`runner plan`: what a reconcile would do."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.console import Console
from runner.cli.ground import ground_of
from runner.errors import ExitCode, HostError, InputError
from runner.report.plan_view import plan_json, plan_text, releases_text
from runner.values import replace
from runner.wiring.clone import open_clone, working_folder
from runner.wiring.rewritten import left_behind, rewritten_states

if TYPE_CHECKING:
    from runner.core.estimates import Price
    from runner.core.outline import Outline
    from runner.core.releases import Verdict


def plan(arguments: argparse.Namespace, console: Console) -> int:
    """Print the plan; exit code 2 where it is not empty, or something would be released."""
    folder = working_folder(arguments.folder)
    before = None
    if arguments.fetch:
        from runner.wiring.repository import refresh  # imported late: only --fetch needs the network

        before = refresh(folder, os.environ)
    clone = open_clone(folder, os.environ, arguments.trust)
    outline, aim = clone.outline(arguments.rev)
    rewritten = rewritten_states(clone, aim, before)
    outline = clone.told_of(outline, *map(str, rewritten), *left_behind(clone))
    is_markdown = arguments.format == "markdown" and not console.as_json
    price = _price(outline, arguments.jobs)
    budget = arguments.budget or outline.budget_seconds
    releases: list[Verdict] = []
    if outline.releases:
        from runner.wiring.releases import planned_releases  # imported late: few release anything

        releases = planned_releases(clone, clone.observation(arguments.rev))
    is_news = any(verdict.is_to_do for verdict in releases)
    value: dict[str, Any] = {}
    if console.as_json or arguments.out or is_markdown:
        value = plan_json(outline, clone.state_age(outline.state), price, budget)
        value |= {"rev": aim.request, "rewritten": [row.as_json() for row in rewritten]}
        value["releases"] = [verdict.as_json() for verdict in releases]
    if arguments.out:
        _write(folder / arguments.out, value)
    if is_markdown:
        from runner.report.markdown import rendered  # imported late: templates

        console.result(rendered("plan.md.j2", value), value)
    else:
        ground = ground_of(clone, outline, outline.has_specs, aim, arguments.rev)
        ground = replace(ground, is_fresh=before is not None, releases=is_news)
        text = plan_text(outline, console.out, ground, price, budget, every=arguments.all)
        console.result(text + releases_text(releases, console.out), value)
    if arguments.rev is None and clone.reader.is_dirty():
        console.say(console.err.dim("The working tree has changes that are not committed; they are not in this plan."))
    return ExitCode.CHANGES if is_news or not outline.is_empty else ExitCode.DONE


def _price(outline: Outline, jobs: int | None) -> Price | None:
    """What the plan costs in time; None where nothing is to run."""
    if not outline.work:
        return None
    from runner.core.estimates import price_of  # imported late: only where something may run
    from runner.wiring.capacity import here

    return price_of(outline.work, here(jobs))


def _write(file: Path, value: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{file}: {error.strerror}", "say a file in a folder that is there") from error
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}", "choose another place for the plan") from error
