"""Load by wrk, a generator in C: it takes so little of each request that the server is what is measured."""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_SCRIPT = """\
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local file = io.open(os.getenv("BODY"), "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
  bad = bad + summary.errors.timeout
  print(string.format(
    'FIGURES {"perSecond": %d, "p50ms": %.2f, "p99ms": %.2f, "bad": %d}',
    summary.requests * 1e6 / summary.duration, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, bad))
end
"""


def load(port: int, path: str, body: Path, connections: int, seconds: float) -> dict[str, Any]:
    """One row of figures, as `benchmarks.load` prints it; whole seconds, at least one."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT)
        script.flush()
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, math.ceil(seconds))}s", "-s", script.name]
        address, environ = f"http://127.0.0.1:{port}{path}", {**os.environ, "BODY": str(body)}
        done = subprocess.run([*words, address], check=True, stdout=subprocess.PIPE, text=True, env=environ)
    found: dict[str, Any] = json.loads(done.stdout.split("FIGURES ")[1].splitlines()[0])
    return {"connections": connections, **found}
