"""SLSA provenance v1 of a run: what was built from what, by whom, in the words that other tools read.

https://slsa.dev/spec/v1.0/provenance. All of it follows from the facts of the run, so whoever verifies a
record derives it again and compares.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from runner.core.moments import written
from runner.core.records import RunFacts

BUILD_TYPE = "https://gitops-runner.dev/build-types/stage/v1"
_BUILDERS = "https://gitops-runner.dev/builders"
_MD5 = re.compile(r"[0-9a-f]{32}")


def slsa(run: RunFacts, version: str) -> dict[str, Any]:
    """`buildDefinition` and `runDetails` of a run that this version of the runner states."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "commit": run.desired,
                "pipeline": run.address.pipeline,
                "stage": run.address.stage,
                **{name: run.material[name] for name in ("cmd", "param", "env", "seed") if name in run.material},
            },
            "internalParameters": {"runKey": run.key},
            "resolvedDependencies": [
                {"name": "commit", "digest": {"gitCommit": run.desired}},
                *(_input(path, digest) for path, digest in sorted(run.material.get("dep", {}).items())),
            ],
        },
        "runDetails": {
            "builder": {"id": _builder(run), "version": {"gitops-runner": version}},
            "metadata": {
                "invocationId": run.run_id,
                "startedOn": rfc3339(run.started_at),
                "finishedOn": rfc3339(run.started_at, run.seconds),
            },
            "byproducts": [{"name": "log", "digest": {"sha256": run.log_sha256}}] if run.log_sha256 else [],
        },
    }


def rfc3339(text: str, later_seconds: float = 0.0) -> str:
    """A time as SLSA writes it, in UTC with a Z; raises ValueError where the text is no time."""
    moment = datetime.datetime.fromisoformat(text) + datetime.timedelta(seconds=round(later_seconds, 3))
    return written(moment)


def _builder(run: RunFacts) -> str:
    """Who answers for the outputs: the runner on trusted or on proposed commits, or whoever filled DVC's run-cache."""
    return f"{_BUILDERS}/{run.trust if run.provenance == 'runner' else run.provenance}"


def _input(path: str, digest: Any) -> Mapping[str, Any]:
    plain = str(digest)
    if _MD5.fullmatch(plain.removesuffix(".dir")):
        algorithm = "dvcDirMd5" if plain.endswith(".dir") else "md5"
        return {"name": path, "digest": {algorithm: plain.removesuffix(".dir")}}
    return {"name": path, "uri": path, "annotations": {"identity": plain}}
