"""Requests per second for one row: ours beside others, in one run.

    python -m benchmarks.serving [--seconds 5] [--rounds 2] [--wrk]
                                 [--peers FOLDER/bin] [--mlflow FOLDER/bin] [--write FILE]

Each server is one worker process on loopback; the load generator (`benchmarks/load.py`, or wrk with --wrk) is one
process on the other core. Of several rounds the better one counts, for everyone. Ours checks rows, counts metrics and
writes the prediction log. There are two models: a logistic regression over imputing, scaling and one-hot columns (ours,
and `predict` with a table), and the regression alone, on eight numbers (ours, ours as ONNX, MLServer, MLflow, a product
of matrices). MLServer and Starlette are run where --peers has them, MLflow where --mlflow has it. CPU is that of all
processes of the server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving_peers import BARE, MATRIX, SAVE_FOR_MLFLOW, SWAPPING
from benchmarks.wrk import load as by_wrk_of

ROOT = Path(__file__).parents[1]
CONNECTIONS = (1, 8, 32)
SWAPS = 10
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
_TABLE = "| requests/s (p99) |"
"""How the line begins above which nothing of the table in the documents stands."""


@dataclass(frozen=True)
class Contender:
    """One server: how it is started, and what it is asked."""

    label: str
    command: Sequence[str]
    port: int
    alive: str
    path: str
    body: Path
    environ: dict[str, str] = field(default_factory=dict)


@dataclass
class Figures:
    """What was measured of one server."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By number of connections."""
    ready: float = 0.0
    pss: int = 0
    swapping: int = 0
    """PSS at its highest while models are swapped; 0: not measured."""


def make_models(folder: Path) -> tuple[Path, Path]:
    """Write the models, for each server its own; the files with a row for the whole one, and for the regression."""
    import joblib
    import numpy
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from runner import artefacts

    chance, rows = numpy.random.default_rng(0), 500
    numbers = [f"x{number}" for number in range(8)]
    table = pandas.DataFrame({name: chance.normal(size=rows) for name in numbers})
    plain = table.copy()
    table["city"] = chance.choice(["Bonn", "Trier", "Ulm"], rows)
    table["plan"] = chance.choice(["basic", "full"], rows)
    outputs = pandas.Series(numpy.where(table["x0"] + table["x1"] > 0, "yes", "no"))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    )
    whole = make_pipeline(columns, LogisticRegression())
    whole.fit(artefacts.columns.aligned(table, artefacts.columns.kinds_of(table)), outputs.to_numpy())
    said: dict[str, Any] = {"target": "y", "outputs": outputs, "task": "classification", "seed": 1}
    artefacts.write(folder / "whole", whole, features=table, **said)
    alone = LogisticRegression().fit(plain, outputs)
    artefacts.write(folder / "alone", alone, features=plain, **said)
    joined = make_pipeline(make_column_transformer(("passthrough", numbers)), LogisticRegression()).fit(plain, outputs)
    artefacts.write(folder / "onnx", joined, features=plain, format="onnx", **said)
    numpy.save(folder / "weights.npy", numpy.append(alone.coef_[0], alone.intercept_))
    numpy.save(folder / "inputs.npy", plain.to_numpy())
    numpy.save(folder / "outputs.npy", (outputs == "yes").to_numpy())
    mlserver = folder / "mlserver"
    mlserver.mkdir()
    joblib.dump(LogisticRegression().fit(plain.to_numpy(), (outputs == "yes").to_numpy()), mlserver / "m.joblib")
    runtime = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./m.joblib"}}
    (mlserver / "model-settings.json").write_text(json.dumps(runtime))
    row: dict[str, Any] = json.loads(table.head(1).to_json(orient="records"))[0]
    data = [row[name] for name in numbers]
    records, tensor = folder / "records.json", folder / "tensor.json"
    records.write_text(json.dumps({"dataframe_records": [row]}))
    tensor.write_text(json.dumps({"inputs": [{"name": "x", "shape": [1, 8], "datatype": "FP64", "data": data}]}))
    (folder / "inputs.json").write_text(json.dumps({"inputs": [data]}))
    return records, tensor


def contenders(folder: Path, peers: Path | None, mlflow: Path | None) -> Iterator[Contender]:
    """The servers that there are."""
    records, tensor = make_models(folder)

    def ours(label: str, model: str, path: str, body: Path) -> Contender:
        port = free_port()
        options = ["--allow-format", "onnx"] if model == "onnx" else []
        command = [sys.executable, "-m", "runner", "serve", "--model", model, "--name", "m", "--log", f"{model}-log"]
        return Contender(label, [*command, *options, "--listen", f"127.0.0.1:{port}"], port, "/ping", path, body)

    yield ours("`runner serve`, with the preprocessing", "whole", "/invocations", records)
    yield ours("`runner serve`, the regression alone", "alone", "/v2/models/m/infer", tensor)
    yield ours("`runner serve`, the regression alone as ONNX", "onnx", "/v2/models/m/infer", tensor)
    if peers is not None:
        port = free_port()
        environ = {"PATH": f"{peers}:{os.environ['PATH']}", "PYTHONPATH": ""}
        command = [str(peers / "python"), "-c", MATRIX, "weights.npy", str(port)]
        label = "Starlette on uvicorn, a product of matrices in place of the regression, nothing else"
        yield Contender(label, command, port, "/ready", "/infer", tensor, environ)
        port = free_port()
        environ |= {
            "MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port()),
            "MLSERVER_METRICS_PORT": str(free_port()), "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_DEBUG": "false",
        }  # fmt: skip
        command = [str(peers / "mlserver"), "start", "mlserver"]
        label = f"MLServer {_version(peers, 'mlserver')}, the regression alone"
        yield Contender(label, command, port, "/v2/health/ready", "/v2/models/m/infer", tensor, environ)
    if mlflow is not None:
        port = free_port()
        environ = {"PATH": f"{mlflow}:{os.environ['PATH']}", "PYTHONPATH": ""}
        save = [str(mlflow / "python"), "-c", SAVE_FOR_MLFLOW, "inputs.npy", "outputs.npy", "mlflow"]
        subprocess.run(save, check=True, cwd=folder, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
        command = [str(mlflow / "mlflow"), "models", "serve", "--model-uri", "mlflow", "--env-manager", "local"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        label = f"`mlflow models serve` {_version(mlflow, 'mlflow')}, the regression alone"
        yield Contender(label, command, port, "/ping", "/invocations", folder / "inputs.json", environ)
    port = free_port()
    command = [sys.executable, "-c", BARE, "whole", str(port), str(records)]
    yield Contender("uvicorn calling `predict` with a table, with the preprocessing", command, port, "/", "/", records)


def _version(programs: Path, package: str) -> str:
    ask = f"import importlib.metadata as found; print(found.version({package!r}))"
    return subprocess.run(
        [programs / "python", "-c", ask], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.strip()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@contextlib.contextmanager
def started(one: Contender, folder: Path) -> Iterator[tuple[psutil.Process, float]]:
    """A server, and the seconds until it answered."""
    began = time.perf_counter()
    environ = {**os.environ, **_ONE_THREAD, **one.environ}
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(one.command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{one.port}{one.alive}", timeout=1).read()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.perf_counter() - began > 120:
                    said = (folder / "server.log").read_text()[-2000:]
                    raise SystemExit(f"{one.label} did not start: {said}") from None
                time.sleep(0.02)
        yield psutil.Process(process.pid), time.perf_counter() - began
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End a server with all that it started."""
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def cpu_seconds(server: psutil.Process) -> float:
    """Of a server and its children."""
    return sum(sum(one.cpu_times()[:2]) for one in (server, *server.children(recursive=True)))


def pss_mib(server: psutil.Process) -> int:
    """Memory of a server and its children, what they share counted once."""
    total = 0
    for one in (server, *server.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().pss
    return total >> 20


def measured(server: psutil.Process, one: Contender, seconds: float, by_wrk: bool) -> dict[int, dict[str, Any]]:
    """A row for each number of connections."""
    rows = {}
    for connections in CONNECTIONS:
        load = by_wrk_of if by_wrk else by_ours
        load(one.port, one.path, one.body, connections, 0.5)
        before = cpu_seconds(server)
        row = load(one.port, one.path, one.body, connections, seconds)
        row["cpuMicroseconds"] = round(1e6 * (cpu_seconds(server) - before) / (row["perSecond"] * seconds))
        rows[connections] = row
    return rows


def by_ours(port: int, path: str, body: Path, connections: int, seconds: float) -> dict[str, Any]:
    """A row of figures by `benchmarks/load.py`, a process of its own."""
    words = [sys.executable, "-m", "benchmarks.load", "127.0.0.1", str(port), path, str(body)]
    done = subprocess.run(
        [*words, str(connections), str(seconds)], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def peak_while_swapping(folder: Path) -> int:
    """PSS in MiB of ours at its highest, while it swaps a model for itself under one client."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SWAPPING, "whole", str(port)], cwd=folder, env={**os.environ, **_ONE_THREAD},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    found, done = [0], threading.Event()

    def look() -> None:
        server = psutil.Process(process.pid)
        while not done.is_set():
            found.append(pss_mib(server))

    try:
        process.stdout.readline()
        looking = threading.Thread(target=look)
        looking.start()
        for _ in range(SWAPS):
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
        done.set()
        looking.join()
    finally:
        end(process)
    return max(found)


def table(all_figures: dict[str, Figures]) -> list[str]:
    """What was measured, for the documents; times MLServer where it was there."""
    rival = next((figures for label, figures in all_figures.items() if label.startswith("MLServer")), None)
    lines = [
        f"{_TABLE} 1 connection | 8 | 32 | CPU a request at 32 | memory (PSS) | ready after |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, figures in all_figures.items():
        cells = []
        for connections in CONNECTIONS:
            row = figures.rows[connections]
            times = f", {row['perSecond'] / rival.rows[connections]['perSecond']:.1f} \u00d7" if rival else ""
            times = "" if figures is rival else times
            slowest = f"{row['p99ms']:.1f}" if row["p99ms"] < 10 else f"{row['p99ms']:.0f}"
            cells.append(f"{row['perSecond']:,} ({slowest} ms){times}")
        memory = f"{figures.pss} MiB" + (f", {figures.swapping} at most while swapping" if figures.swapping else "")
        cpu = f"{figures.rows[CONNECTIONS[-1]]['cpuMicroseconds']} µs"
        lines.append(f"| {label} | {' | '.join(cells)} | {cpu} | {memory} | {figures.ready:.1f} s |")
    return lines


def write_table(path: Path, made: Sequence[str]) -> None:
    """Put the table in the place of the one that stands in a document."""
    lines = path.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(_TABLE))
    last = next(number for number in range(first, len(lines)) if not lines[number].startswith("|"))
    path.write_text("\n".join([*lines[:first], *made, *lines[last:]]) + "\n")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", type=Path, help="the folder with `mlserver`, and a `python` that has Starlette")
    parser.add_argument("--mlflow", type=Path, help="the folder with `mlflow`")
    parser.add_argument("--wrk", action="store_true", help="load by wrk, which has to be installed")
    parser.add_argument("--only", default="", help="those whose label holds this")
    parser.add_argument("--write", type=Path, help="the document whose table is to hold the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        chosen = [one for one in contenders(folder, given.peers, given.mlflow) if given.only in one.label]
        all_figures = {one.label: Figures(ready=float("inf")) for one in chosen}
        for number in range(given.rounds):
            for one in chosen:
                figures = all_figures[one.label]
                with started(one, folder) as (server, seconds):
                    figures.ready = min(figures.ready, seconds)
                    for connections, row in measured(server, one, given.seconds, given.wrk).items():
                        before = figures.rows.get(connections)
                        if before is None or row["perSecond"] > before["perSecond"]:
                            figures.rows[connections] = row
                        print(json.dumps({"round": number, "server": one.label, **row}), flush=True)
                    figures.pss = max(figures.pss, pss_mib(server))
                print(json.dumps({"server": one.label, "ready": round(seconds, 2), "pssMiB": figures.pss}), flush=True)
        first = next(iter(all_figures.values()))
        first.swapping = peak_while_swapping(folder)
        lines = table(all_figures)
        print("\n".join(["", *lines]))
        if given.write is not None:
            write_table(given.write, lines)


if __name__ == "__main__":
    main()
