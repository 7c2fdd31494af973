"""Requests per second for one row of a logistic regression over preprocessing: ours beside others, in one run.

    python -m benchmarks.serving [--seconds 5] [--peers FOLDER/bin]

Each server is one worker process on loopback; the load generator (`benchmarks/load.py`) is one process on the other
core. Ours checks rows, counts metrics and writes the prediction log. `bare` is uvicorn calling `predict` with a table
of pandas and nothing else. MLServer is run where FOLDER/bin has it, with the regression alone, on a plain matrix: it
is spared the preprocessing that the others do. CPU is that of all processes of the server.
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
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
CONNECTIONS = (1, 8, 32)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

_BARE = """
import json, sys
import pandas, uvicorn
from pathlib import Path
from runner import artefacts
model = artefacts.read(Path(sys.argv[1]))
async def app(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    if not body:
        body = open(sys.argv[3], "rb").read()
    said = model.model.predict(model.aligned(pandas.DataFrame(json.loads(body)["dataframe_records"])))
    answer = json.dumps({"predictions": said.tolist()}).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False, lifespan="off", loop="uvloop")
"""


def make_model(folder: Path) -> dict[str, Any]:
    """Write the model folder, and the regression alone for MLServer; a row."""
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
    table["city"] = chance.choice(["Bonn", "Trier", "Ulm"], rows)
    table["plan"] = chance.choice(["basic", "full"], rows)
    outputs = pandas.Series(numpy.where(table["x0"] + table["x1"] > 0, "yes", "no"))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    )
    model = make_pipeline(columns, LogisticRegression())
    model.fit(artefacts.columns.aligned(table, artefacts.columns.kinds_of(table)), outputs.to_numpy())
    artefacts.write(folder / "model", model, features=table, target="y", outputs=outputs, task="classification", seed=1)
    plain = folder / "mlserver"
    plain.mkdir()
    joblib.dump(LogisticRegression().fit(table[numbers].to_numpy(), (outputs == "yes").to_numpy()), plain / "m.joblib")
    runtime = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./m.joblib"}}
    (plain / "model-settings.json").write_text(json.dumps(runtime))
    row: dict[str, Any] = json.loads(table.head(1).to_json(orient="records"))[0]
    return row


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@contextlib.contextmanager
def started(
    command: list[str], folder: Path, url: str, environ: dict[str, str]
) -> Iterator[tuple[psutil.Process, float]]:
    """A server, and the seconds until it answered."""
    began = time.perf_counter()
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **_ONE_THREAD, **environ},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).read()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.perf_counter() - began > 120:
                    raise SystemExit(f"{command[:3]} did not start: see {folder}/server.log") from None
                time.sleep(0.05)
        yield psutil.Process(process.pid), time.perf_counter() - began
    finally:
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def cpu_seconds(server: psutil.Process) -> float:
    """Of a server and its children."""
    return sum(sum(one.cpu_times()[:2]) for one in (server, *server.children(recursive=True)))


def pss_mib(server: psutil.Process) -> int:
    """Memory of a server and its children, what they share counted once."""
    return sum(one.memory_full_info().pss for one in (server, *server.children(recursive=True))) >> 20


def measured(server: psutil.Process, port: int, path: str, body: Path, seconds: float) -> list[dict[str, Any]]:
    """A row for each number of connections."""
    rows = []
    for connections in CONNECTIONS:
        load = [sys.executable, "-m", "benchmarks.load", "127.0.0.1", str(port), path, str(body)]
        subprocess.run([*load, str(connections), "0.5"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        before = cpu_seconds(server)
        done = subprocess.run(
            [*load, str(connections), str(seconds)], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        row = json.loads(done.stdout)
        row["cpuMicroseconds"] = round(1e6 * (cpu_seconds(server) - before) / (row["perSecond"] * seconds))
        rows.append(row)
    return rows


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--peers", type=Path, help="the folder with `mlserver`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        row = make_model(folder)
        records, tensor = folder / "records.json", folder / "tensor.json"
        records.write_text(json.dumps({"dataframe_records": [row]}))
        data = [row[f"x{number}"] for number in range(8)]
        tensor.write_text(json.dumps({"inputs": [{"name": "x", "shape": [1, 8], "datatype": "FP64", "data": data}]}))
        port = free_port()
        ours = [
            sys.executable,
            "-m",
            "runner",
            "serve",
            "--model",
            "model",
            "--listen",
            f"127.0.0.1:{port}",
            "--log",
            "log",
        ]
        contenders = [("ours", ours, "/ping", "/invocations", records, {})]
        bare_port = free_port()
        bare = [sys.executable, "-c", _BARE, "model", str(bare_port), str(records)]
        contenders.append(("bare", bare, "/", "/", records, {}))
        ports = {"ours": port, "bare": bare_port}
        if given.peers is not None:
            ports["mlserver"] = free_port()
            environ = {
                "MLSERVER_HTTP_PORT": str(ports["mlserver"]), "MLSERVER_GRPC_PORT": str(free_port()),
                "MLSERVER_METRICS_PORT": str(free_port()), "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_DEBUG": "false",
                "PATH": f"{given.peers}:{os.environ['PATH']}", "PYTHONPATH": "",
            }  # fmt: skip
            command = [str(given.peers / "mlserver"), "start", "mlserver"]
            contenders.append(("mlserver", command, "/v2/health/ready", "/v2/models/m/infer", tensor, environ))
        for name, command, alive, path, body, environ in contenders:
            url = f"http://127.0.0.1:{ports[name]}{alive}"
            with started(command, folder, url, environ) as (server, seconds):
                for one in measured(server, ports[name], path, body, given.seconds):
                    print(json.dumps({"server": name, **one}), flush=True)
                print(
                    json.dumps({"server": name, "readySeconds": round(seconds, 2), "pssMiB": pss_mib(server)}),
                    flush=True,
                )


if __name__ == "__main__":
    main()
