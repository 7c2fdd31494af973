"""The repository that the tests of reading commands share; none of them changes it."""

from __future__ import annotations

import pytest

from tests.cli.worlds import Team, new_team


@pytest.fixture(scope="session")
def team(own_world: object, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Made once; read only."""
    return new_team(tmp_path_factory.mktemp("team"))
