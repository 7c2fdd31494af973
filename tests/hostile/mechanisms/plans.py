"""What a person hands over beside the repository: where a plan is written."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.ground import Ground
from tests.hostile.kinds import OUTSIDE, PLAN, Case, mechanism
from tests.hostile.store import link


@mechanism
def links_in_the_way_of_what_is_written() -> Iterator[Case]:
    """Links in a working tree at the places where DVC or the runner would keep something."""
    for name in (".dvc/tmp", ".dvc/cache", ".runner", "runner.yaml", ".git/runner", "plan.json"):

        def prepare(ground: Ground, name: str = name) -> None:
            ground.write({name: link(f"{OUTSIDE}/secret")})

        yield Case(name, ends=PLAN, prepare=prepare)
