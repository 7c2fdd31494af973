"""Real keys and a trust file for a world."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.reconcile.worlds import World


class Keys:
    """Keys by their names, and a trust file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trust = folder / "trust.yaml"

    @staticmethod
    def begun(world: World) -> Keys:
        """Its runner signs with the one key that its hosts trust; the keys lie beside it."""
        keys = Keys(world.folder.parent)
        keys.trusted(world, {"runner": ""})
        keys.signs(world, "runner")
        world.environ["RUNNER_TRUST"] = str(keys.trust)
        return keys

    def made(self, world: World, name: str) -> str:
        """The public line of a key, which is made the first time."""
        file = self.folder / f"{name}.pub"
        if not file.exists():
            file.write_text(world.runner("keys", "generate", str(self.folder / name)).stdout)
        return file.read_text().strip()

    def trusted(self, world: World, rows: Mapping[str, str], more: str = "") -> None:
        """Write the trust file: names of keys to the rest of their rows."""
        lines = [f"  - {{key: {self.made(world, name)}{rest}}}\n" for name, rest in rows.items()]
        self.trust.write_text(f"apiVersion: runner/v1\nkind: Trust\nkeys:\n{''.join(lines)}{more}")

    def signs(self, world: World, name: str | None) -> None:
        """Who signs from now on."""
        world.environ.pop("RUNNER_SIGNING_KEY", None)
        if name is not None:
            self.made(world, name)
            world.environ["RUNNER_SIGNING_KEY"] = str(self.folder / name)
