"""Clients that send what they like: no answer is a 5xx, no worker dies, and others are served meanwhile.

`make soak-serve` sends a hundred thousand bodies (BODIES) from another seed (SEED).
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.models import ROW, churn
from tests.serve.servers import PATIENCE, Server, ask_over, serving

BODIES = int(os.environ.get("BODIES", "3000"))
SEED = int(os.environ.get("SEED", "1"))
KINDS = {"age": "FP64", "income": "FP64", "orders": "INT64", "city": "BYTES", "paid": "BOOL"}
TENSORS = {
    "id": "7",
    "inputs": [{"name": name, "shape": [1, 1], "datatype": kind, "data": [ROW[name]]} for name, kind in KINDS.items()],
    "outputs": [{"name": "prediction", "parameters": {"binary_data": True}}, {"name": "probabilities"}],
}
SEEDS: list[tuple[str, Any]] = [
    ("/invocations", {"dataframe_split": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}),
    ("/invocations", {"dataframe_records": [ROW, ROW], "params": {"probabilities": True}}),
    ("/invocations", {"inputs": {name: [value] * 20 for name, value in ROW.items()}}),
    ("/v1/models/churn:predict", {"instances": [ROW], "signature_name": "x"}),
    ("/explain", {"dataframe_records": [ROW, ROW]}),
    ("/v1/models/churn:predict", {"inputs": {name: [value] for name, value in ROW.items()}}),
    ("/v2/models/churn/infer", TENSORS),
    ("/v2/models/churn/infer", {"inputs": [{"name": "all", "shape": [1, 5], "datatype": "FP32", "data": [[1] * 5]}]}),
]  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e308, -1e308, 1 << 63, -(1 << 63), (1 << 64) - 1, "", "x", "\x00", "💥", "NaN", [],
    {}, [[]], [None], {"": None}, [[[[[[1]]]]]], "9" * 400, ["a"] * 40, {"name": "age"}, 2**31, "Bonn", [1, 2], "FP64",
]  # fmt: skip
RAW = [
    b"", b"{", b"null", b"[]", b'"x"', b"NaN", b'{"instances": NaN}', b"\xff\xfe\x00", b"[" * 5000,
    b'{"inputs":' * 2000,
    b'{"instances": [1e400]}', b'{"instances": [{"age": 1e400}]}', b'{"instances": ["\\ud800"]}',
    b"age,income\n1", b"\n\n\n",
    b'age,income,orders,city,paid\n1,2,3,"Ulm', b"age,income,orders,city,paid\nnan,inf,1e99,,TRUE\n",
    b"\xef\xbb\xbfage",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = churn(tmp_path_factory.mktemp("models") / "churn")
    with serving(folder, "--max-body", "1", "--timeout", "20s", "--explain") as running:
        yield running


def mutated(value: Any, chance: random.Random) -> Any:
    """The same with one to three nodes exchanged, removed or doubled."""
    made = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        holders = [made, *_holders(made)]
        holder = chance.choice([one for one in holders if one] or [made])
        if not holder:
            continue
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key, way = chance.choice(keys), chance.random()
        if way < 0.65:
            holder[key] = copy.deepcopy(chance.choice(ODD))
        elif way < 0.8:
            del holder[key]
        elif isinstance(holder, dict):
            holder[chance.choice(["inputs", "instances", "data", "shape", "x", "parameters"])] = holder[key]
        else:
            holder.append(copy.deepcopy(holder[key]))
    return made


def _holders(value: Any) -> list[Any]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [one for one in inner if isinstance(one, (dict, list))]
    return found + [below for one in found for below in _holders(one)]


def bodies(seed: int, count: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Path, body and headers of rough requests."""
    chance = random.Random(seed)
    for _ in range(count):
        path, good = chance.choice(SEEDS)
        headers = {
            "content_type": chance.choice(["application/json"] * 8 + ["text/csv", "application/octet-stream", ""])
        }
        body = json.dumps(mutated(good, chance)).encode()
        way = chance.random()
        if way < 0.15:
            body = chance.choice(RAW)
        elif way < 0.35:
            at = chance.randrange(len(body) + 1)
            body = body[:at] + chance.randbytes(chance.randint(0, 3)) + body[at + chance.randint(0, 5) :]
        elif way < 0.55:
            tensor = copy.deepcopy(TENSORS)
            parts = []
            for one in tensor["inputs"]:  # type: ignore[attr-defined]
                part = b"\x03\0\0\0Ulm" if one["datatype"] == "BYTES" else struct.pack("<d", 1.0)
                part = part[:1] if one["datatype"] == "BOOL" else part
                if chance.random() < 0.3:
                    part = chance.randbytes(chance.randint(0, 12))
                del one["data"]
                one["parameters"] = {"binary_data_size": chance.choice([len(part)] * 9 + [len(part) + 1])}
                parts.append(part)
            told = json.dumps(mutated(tensor, chance) if chance.random() < 0.3 else tensor).encode()
            headers["inference_header_content_length"] = str(
                chance.choice([len(told)] * 8 + [0, len(told) + 1, 10**9, -1])
            )
            path, body = "/v2/models/churn/infer", told + b"".join(parts)
        yield path, body, headers


def test_no_body_is_answered_with_a_fault_of_the_server(server: Server) -> None:
    before = server.told("/status")["pid"]
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    statuses: dict[int, int] = {}
    memory = 0
    for number, (path, body, headers) in enumerate(bodies(SEED, BODIES)):
        status, answer, told = ask_over(connection, path, body, **headers)
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500, (path, body, headers, answer)
        if told["content-type"] == "application/json":
            json.loads(answer, parse_constant=_no_constant)
        if status != 200:
            assert json.loads(answer)["error"]
        if number == BODIES // 3:
            memory = _resident_kib(before)
    connection.close()
    assert statuses[200] > BODIES // 50
    assert statuses[400] > BODIES // 4
    assert server.told("/status")["pid"] == before
    assert _resident_kib(before) < memory + 65536


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _resident_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def test_a_body_that_is_too_large_is_refused_before_and_while_it_comes(server: Server) -> None:
    status, answer, _ = server.ask("/invocations", b" " * (3 << 20))
    assert (status, json.loads(answer)["error"]) == (413, "the body is larger than 1048576 bytes")
    with server.connect() as bare:
        bare.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(20):
            bare.sendall(b"20000\r\n" + b" " * 0x20000 + b"\r\n")
        assert bare.recv(12) == b"HTTP/1.1 413"


def test_a_request_of_many_rows_is_answered_whole(server: Server) -> None:
    rows = {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())] * 9000}}
    assert server.told("/invocations", rows)["predictions"] == ["yes"] * 9000


def test_a_body_that_stops_coming_is_told_so_in_its_time(server: Server) -> None:
    with server.connect() as bare:
        head = b"POST /invocations HTTP/1.1\r\nhost: x\r\nx-request-timeout: 0.2\r\ncontent-length: 100\r\n\r\n"
        bare.sendall(head + b"{")
        assert bare.recv(12) == b"HTTP/1.1 408"
