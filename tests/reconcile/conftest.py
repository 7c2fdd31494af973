"""Whatever a test of this folder started ends with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reconcile.worlds import STARTED


@pytest.fixture
def untraced(request: pytest.FixtureRequest) -> None:
    """What other tests ran in a world that is shared does not count."""
    if "world" in request.fixturenames:
        request.getfixturevalue("world").trace()


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No runner outlives its test, also where that fails."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()
