"""gRPC by the real client of Triton: the same numbers, the same refusals, and no call fails at a swap."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from runner import artefacts
from runner.serve.grpc_messages import METHODS, messages
from runner.serve.settings import Served, Settings
from runner.serve.supervisor import Supervisor
from tests.serve.models import ROW, churn, customers
from tests.serve.servers import PATIENCE, REPOSITORY, Server, serving, wait_until

grpc = pytest.importorskip("grpc", reason="the extra `grpc` is not installed")
triton = pytest.importorskip("tritonclient.grpc")

KINDS = {"FP64": numpy.float64, "INT64": numpy.int64, "BOOL": bool, "BYTES": object}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return churn(tmp_path_factory.mktemp("models") / "churn")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    port = free_port()
    options = ("--grpc", f"127.0.0.1:{port}", "--access-log", str(folder.parent / "access.jsonl"))
    with serving(folder, *options, until="grpc") as running:
        running.folder = folder.parent
        running.grpc_port = port
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as made:
        yield made


def tensors(client: Any, table: pandas.DataFrame) -> list[Any]:
    made = []
    for told in client.get_model_metadata("churn").inputs:
        values = table[told.name].to_numpy().astype(KINDS[told.datatype])
        tensor = triton.InferInput(told.name, list(values.shape), told.datatype)
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


def test_the_client_of_triton_gets_what_the_model_says(client: Any, folder: Path) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata().name == "gitops-runner"
    assert [one.name for one in client.get_model_metadata("churn", "1").outputs] == ["prediction", "probabilities"]
    model, table = artefacts.read(folder), customers()
    wanted = [triton.InferRequestedOutput("prediction"), triton.InferRequestedOutput("probabilities")]
    found = client.infer("churn", tensors(client, table), outputs=wanted, request_id="7", client_timeout=60)
    assert found.get_response().id == "7"
    assert [text.decode() for text in found.as_numpy("prediction")] == model.predict(table).tolist()
    numpy.testing.assert_allclose(found.as_numpy("probabilities"), model.predict_proba(table), rtol=1e-9)


def test_a_call_is_checked_and_logged_as_any_other_request_is(client: Any, server: Server) -> None:
    table = customers().head(2)
    for wrong, code, said in (
        (lambda: client.infer("other", tensors(client, table)), "NOT_FOUND", "served here is the model `churn`"),
        (lambda: client.infer("churn", tensors(client, table)[1:]), "INVALID_ARGUMENT", "`age` is missing"),
    ):
        with pytest.raises(triton.InferenceServerException, match=said) as caught:
            wrong()
        assert caught.value.status() == f"StatusCode.{code}"
    assert b'route="/v2/models/infer",status="400"' in server.ask("/metrics")[1]


def stub(server: Server, method: str) -> Any:
    """A call with messages of our own, for what the client of Triton never sends."""
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    told = messages()
    return channel.unary_unary(
        f"/inference.GRPCInferenceService/{method}",
        request_serializer=told[f"{method}Request"].SerializeToString,
        response_deserializer=told[f"{method}Response"].FromString,
    )


def typed(city: bytes = b"Ulm") -> Any:
    """A request with typed contents in place of raw ones."""
    asked = messages()["ModelInferRequest"](model_name="churn")
    kinds = {"age": "FP64", "income": "FP64", "orders": "INT64", "city": "BYTES", "paid": "BOOL"}
    fields = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents", "BOOL": "bool_contents"}
    for name, kind in kinds.items():
        tensor = asked.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, fields[kind]).append(city if name == "city" else ROW[name])
    return asked


def test_typed_contents_are_answered_with_typed_contents(server: Server) -> None:
    said = stub(server, "ModelInfer")(typed(), timeout=60, metadata=(("x-request-id", "typed-1"),))
    assert said.outputs[0].contents.bytes_contents == [b"yes"]
    assert sum(said.outputs[1].contents.fp64_contents) == pytest.approx(1.0)
    assert list(said.raw_output_contents) == []
    for change, words in (
        (typed(b"\xff"), "a value is no UTF-8"),
        (messages()["ModelInferRequest"](model_name="churn", raw_input_contents=[b""]), "raw_input_contents of 1"),
    ):
        with pytest.raises(grpc.RpcError, match=words) as caught:
            stub(server, "ModelInfer")(change, timeout=60)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_that_is_none_is_refused(server: Server) -> None:
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    with channel, pytest.raises(grpc.RpcError, match="the message is no ModelInferRequest") as caught:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(typed().SerializeToString()[:-3], timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_messages_are_those_of_the_protocol() -> None:
    from tritonclient.grpc import service_pb2

    for name, made in messages().items():
        theirs = service_pb2.DESCRIPTOR.message_types_by_name[name.partition(".")[0]]
        for inner in filter(None, [name.partition(".")[2]]):
            theirs = theirs.nested_types_by_name[inner]
        known = {field.name: (field.number, field.type, field.is_repeated) for field in theirs.fields}
        for field in made.DESCRIPTOR.fields:
            assert known[field.name] == (field.number, field.type, field.is_repeated), (name, field.name)
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert set(METHODS) <= {method.name for method in service.methods}


def test_no_call_fails_while_models_are_swapped(folder: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    listening.setblocking(False)
    events: queue.Queue[Any] = queue.Queue()
    address, stop, enough = f"127.0.0.1:{free_port()}", threading.Event(), threading.Event()
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    supervisor = Supervisor(listening, events.put, environ=environ, grpc=address)
    running = threading.Thread(target=supervisor.run, args=(stop,))
    running.start()
    answers: list[Any] = []

    def wait_for(event: str) -> None:
        while (told := events.get(timeout=PATIENCE))["event"] != event:
            assert told["event"] != "failed", told

    def ask_on() -> None:
        with triton.InferenceServerClient(address) as client:
            inputs = tensors(client, customers().head(1))
            while not enough.is_set():
                try:
                    answers.append(client.infer("churn", inputs).as_numpy("prediction").tolist())
                except triton.InferenceServerException as error:
                    answers.append(error)

    asking = [threading.Thread(target=ask_on) for _ in range(3)]
    try:
        supervisor.swap(Settings(Served(str(folder), "churn", "1")))
        wait_for("grpc")
        for thread in asking:
            thread.start()
        for version in range(2, 6):
            supervisor.swap(Settings(Served(str(folder), "churn", str(version))))
            wait_for("serving")
    finally:
        enough.set()
        for thread in asking:
            thread.join(PATIENCE)
        stop.set()
        running.join(PATIENCE)
    assert len(answers) > 4
    assert [answer for answer in answers if isinstance(answer, Exception)] == []


def test_a_flood_of_large_messages_is_refused_and_leaves_no_memory_taken(server: Server) -> None:
    (gate,) = (
        folder for folder in Path("/proc").iterdir() if folder.name.isdigit() and _is_gate(folder, server.process.pid)
    )
    large = messages()["ModelInferRequest"](model_name="churn")
    large.inputs.add(name="city", datatype="BYTES", shape=[1])
    large.raw_input_contents.append(b"x" * (15 << 20))
    data, said = large.SerializeToString(), []

    def ask() -> None:
        options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options) as channel:
            try:
                channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(data, timeout=PATIENCE)
            except grpc.RpcError as error:
                said.append(error.code().name)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(said) == 16
    assert not {"INTERNAL", "UNKNOWN"} & set(said)
    wait_until(lambda: int((gate / "statm").read_text().split()[1]) << 12 < 350 << 20)
    assert stub(server, "ModelInfer")(typed(), timeout=PATIENCE).outputs[0].contents.bytes_contents == [b"yes"]


def _is_gate(folder: Path, parent: int) -> bool:
    try:
        is_child = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1] == str(parent)
        return is_child and b"grpc_gate" in folder.joinpath("cmdline").read_bytes()
    except OSError:
        return False
