"""Many releases, two servers, and a remote that comes and goes: `make soak-pull`, which says the seed to replay."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from pathlib import Path

from tests.delivery.worlds import Clients, Daemon, Pulling, model_files, object_of, pulling, released
from tests.reconcile.worlds import World

RELEASES = int(os.environ.get("RELEASES", "60"))
SEED = int(os.environ.get("SEED", "1"))


def test_whatever_happens_to_the_remote_servers_converge_and_no_request_fails(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    world = World.create(tmp_path / "world", {"runner.yaml": ""}, dvc=True)
    released(world)
    mend: dict[Path, bytes] = {}
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(world.folder))
        one = stack.enter_context(pulling(tmp_path, daemon.url, home="one"))
        two = stack.enter_context(pulling(tmp_path, daemon.url, home="two"))
        for server in (one, two):
            server.serves(1)
        clients = stack.enter_context(Clients(one))
        for number in range(2, RELEASES + 1):
            what = chance.choice(["nothing", "stop", "start", "start", "damage", "kill", "worker", "mend"])
            print(f"v{number}: {what}", flush=True)
            if what == "stop":
                daemon.stop()
            elif what == "start":
                daemon.start()
            elif what == "kill":
                two.process.send_signal(signal.SIGKILL)
                two.process.wait()
                two = stack.enter_context(pulling(tmp_path, daemon.url, home="two"))
            elif what == "worker":
                with contextlib.suppress(OSError, AssertionError):
                    os.kill(two.status["pid"], signal.SIGKILL)
            elif what == "mend":
                _mend(mend)
            files = model_files(world.folder)
            if what == "damage":
                good = files["trained/model.skops"]
                place = object_of(world, good)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(bytes([good[0] ^ 1]) + good[1:])
                mend[place] = good
            released(world, files)
        _mend(mend)
        daemon.start()
        newest = json.loads(world.file(".runner/releases/churn-api/production.json"))
        assert newest["version"] == RELEASES
        for server in (one, two):
            _converges(server, RELEASES, newest["model"]["sha256"])
    assert clients.failures == []
    print(f"{clients.answers} answers, {RELEASES} releases, seed {SEED}")


def _mend(damaged: dict[Path, bytes]) -> None:
    for place, good in damaged.items():
        place.chmod(0o644)
        place.write_bytes(good)
    damaged.clear()


def _converges(server: Pulling, version: int, digest: str) -> None:
    told = server.serves(version)
    assert (told["digest"], told["failed"]) == (digest, None)
