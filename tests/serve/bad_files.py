"""Models that must not be served, by what lies in their file: forged skops, pickles that run code, graphs, bad manners.

See `bad_folders`, of which this is the second half.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib

from tests.serve import bad_models
from tests.serve.bad_folders import Bad, Sound, bad, copied, way_to_be_bad
from tests.serve.supervised import exchange

# skops files that were forged


def _repacked(folder: Path, of: Path, change: Callable[[dict[str, Any], dict[str, bytes]], Any], **how: Any) -> None:
    data = (copied(folder, of) / "model.skops").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema, members)
    if "schema.json" in members:
        members["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as made:
        for name, content in members.items():
            made.writestr(name, content)
    exchange(folder, "model.skops", buffer.getvalue())


def _nodes(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) and "__class__" in value else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += _nodes(inner)
    return found


_TYPES = (
    "os.system", "builtins.eval", "builtins.exec", "subprocess.Popen", "posix.system", "importlib.import_module",
    "shutil.rmtree", "tests.serve.bad_models.Hanging", "pickle.loads", "sklearn.utils._testing.os.system", "this.s",
    "numpy.load", "pty.spawn", "sklearn.tests.test_base.MyEstimator", "antigravity.geohash", "code.interact",
)  # fmt: skip


@way_to_be_bad
def a_type_that_nobody_allowed(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(schema: Any, members: Any) -> None:
        node = chance.choice([one for one in _nodes(schema) if one.get("__loader__") in ("ObjectNode", "TypeNode")])
        node["__module__"], _, node["__class__"] = chance.choice(_TYPES).rpartition(".")

    _repacked(folder, good.skops, change)
    return bad(folder, "the model holds types that nobody allowed")


@way_to_be_bad
def a_loader_that_calls(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(schema: Any, members: Any) -> None:
        node = chance.choice([one for one in _nodes(schema)[1:] if one.get("__loader__") == "ObjectNode"])
        name = chance.choice(["MethodNode", "PartialNode", "OperatorFuncNode", "FunctionNode", "ReduceNode", "Nowhere"])
        node.update(
            __loader__=name, __module__="os", __class__="system", content={"func": "system", "obj": {}}, attrs={}
        )

    _repacked(folder, good.skops, change)
    return bad(folder, "model.skops: ")


@way_to_be_bad
def a_bomb(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(schema: Any, members: dict[str, bytes]) -> None:
        name = chance.choice([one for one in members if one != "schema.json"])
        members[name] += bytes(chance.randint(20, 60) << 20)

    _repacked(folder, good.skops, change, compression=zipfile.ZIP_DEFLATED)
    return bad(folder, "is compressed, and the runner writes none")


@way_to_be_bad
def a_schema_without_bottom(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(schema: Any, members: dict[str, bytes]) -> None:
        deep: Any = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
        for _ in range(chance.choice([300, 450])):
            deep = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [deep]}
        next(iter(_nodes(schema)))["content"]["content"]["deep"] = deep

    _repacked(folder, good.skops, change)
    return bad(folder, "model.skops: ")


@way_to_be_bad
def a_member_that_lies(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(schema: Any, members: dict[str, bytes]) -> None:
        name = chance.choice([one for one in members if one.endswith(".npy")])
        way = chance.randrange(6)
        if way == 0:
            del members[name]
        elif way == 1:
            members[name] = members[name][: chance.randrange(len(members[name]) - 1)]
        elif way == 2:
            members[name] = _array_header((1 << 44,))
        elif way == 3:
            members[name] = _array_header((2,), "|O") + b"cos\n_exit\n(I7\ntR."
        elif way == 4:
            members[name] = chance.randbytes(200)
        else:
            del members["schema.json"]

    _repacked(folder, good.skops, change)
    return bad(folder, "model.skops: ")


def _array_header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@way_to_be_bad
def other_weights(chance: random.Random, folder: Path, good: Sound) -> Bad:
    """All the same, but for numbers in one of the arrays of the regression."""

    def change(schema: Any, members: dict[str, bytes]) -> None:
        last = next(one for one in _nodes(schema) if one["__class__"] == "LogisticRegression")
        name = last["content"]["content"]["coef_"]["file"]
        head, values = (
            members[name][:128],
            list(struct.unpack(f"<{(len(members[name]) - 128) // 8}d", members[name][128:])),
        )
        place = chance.randrange(3, len(values))  # those of the city may not matter for the example
        values[place] = chance.choice([float("nan"), float("inf"), 1e308, values[place] + 1.0, -values[place]])
        members[name] = head + struct.pack(f"<{len(values)}d", *values)

    _repacked(folder, good.skops, change)
    return bad(folder, "it cannot predict its own example|it says no finite number|is not what was recorded")


# joblib files, for servers that were told to allow them: their code runs, and the worker pays for it

_ANY = {"formats": ("skops", "joblib", "onnx")}


def _pickled(folder: Path, good: Sound, model: Any) -> None:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    exchange(copied(folder, good.joblib), "model.joblib", buffer.getvalue())


@way_to_be_bad
def a_pickle_that_nobody_allowed(chance: random.Random, folder: Path, good: Sound) -> Bad:
    _pickled(folder, good, bad_models.Reduced(os._exit, chance.randint(0, 9)))
    return bad(folder, "it is in the format joblib, and allowed are: skops")


_DIED = "the worker died while it was|cannot be loaded"


@way_to_be_bad
def a_pickle_that_ends_its_process(chance: random.Random, folder: Path, good: Sound) -> Bad:
    me = bad_models.Reduced(os.getpid)
    call = chance.choice(
        [
            (os._exit, chance.randint(0, 9)),
            (os.abort,),
            (os.kill, me, signal.SIGKILL),
            (os.kill, me, signal.SIGSEGV),
            (os.kill, bad_models.Reduced(os.getppid), signal.SIGKILL),
            (os.closerange, 0, 1 << 16),
            (exec, "raise SystemExit(0)"),
            (exec, "raise KeyboardInterrupt"),
            (exec, "import os, time\nif os.fork() == 0: time.sleep(3)\nos._exit(5)"),
        ]
    )
    _pickled(folder, good, bad_models.Reduced(*call))
    return bad(folder, f"{_DIED}|it says what nobody understands|AttributeError", **_ANY)


@way_to_be_bad
def a_pickle_that_writes_into_every_pipe(chance: random.Random, folder: Path, good: Sound) -> Bad:
    text = chance.choice([b"\xff", b"null", b"[]", b"{}", b'{"say": 7}', b"x" * 5000, b'{"say": "alive"}'])
    code = (
        "import os\nfor number in range(3, 64):\n try: os.set_blocking(number, False); os.write(number, TEXT)\n"
        " except OSError: pass\nos._exit(4)"
    )
    _pickled(folder, good, bad_models.Reduced(exec, code.replace("TEXT", repr(text))))
    return bad(folder, f"{_DIED}|it says what nobody understands", **_ANY)


@way_to_be_bad
def a_pickle_that_never_ends(chance: random.Random, folder: Path, good: Sound) -> Bad:
    call = chance.choice(
        [
            (time.sleep, 3600),
            (exec, "while True: pass"),
            (exec, "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()"),
            (exec, "import os; os.read(os.pipe()[0], 1)"),
            (signal.pause,),
        ]
    )
    _pickled(folder, good, bad_models.Reduced(*call))
    return bad(folder, "it was not ready after", hangs=True, **_ANY)


@way_to_be_bad
def a_pickle_of_something_else(chance: random.Random, folder: Path, good: Sound) -> Bad:
    _pickled(folder, good, chance.choice([None, 7, "yes", {"predict": 1}, [], object(), bad_models.Sound, os.getpid]))
    return bad(folder, "joblib: |cannot predict its own example|Error: ", **_ANY)


@way_to_be_bad
def a_pickle_that_cannot_be_read(chance: random.Random, folder: Path, good: Sound) -> Bad:
    data = chance.choice(
        [
            b"", b"\x80", b"\x80\x05.", b"cnowhere\nnothing\n.", b"(" * 1_000_000, chance.randbytes(300),
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f",
        ]
    )  # fmt: skip
    exchange(copied(folder, good.joblib), "model.joblib", data)
    return bad(folder, f"model.joblib: it cannot be loaded|{_DIED}", **_ANY)


@way_to_be_bad
def a_pickle_that_wants_all_memory(chance: random.Random, folder: Path, good: Sound) -> Bad:
    call = chance.choice([(bytes, 1 << 50), (bytearray, 1 << 47), (exec, "import numpy; numpy.ones(1 << 48)")])
    _pickled(folder, good, bad_models.Reduced(*call))
    return bad(folder, f"model.joblib: it cannot be loaded|MemoryError|{_DIED}", **_ANY)


_SAYS = (
    "refuses", "says no", "says what no class is called", "says nothing", "says numbers", "is not a number",
    "is infinite", "says too much", "says too little", "says a matrix", "wants all memory",
)  # fmt: skip


@way_to_be_bad
def a_model_that_says_another_thing(chance: random.Random, folder: Path, good: Sound) -> Bad:
    _pickled(folder, good, bad_models.Counting(chance.choice(_SAYS), 0))
    return bad(folder, "of its own example|it cannot predict its own example|is not what was recorded", **_ANY)


@way_to_be_bad
def a_model_that_soon_says_another_thing(chance: random.Random, folder: Path, good: Sound) -> Bad:
    _pickled(folder, good, bad_models.Counting(chance.choice(_SAYS), chance.randint(1, 99)))
    return bad(folder, "example", **_ANY)


@way_to_be_bad
def a_model_that_soon_dies(chance: random.Random, folder: Path, good: Sound) -> Bad:
    _pickled(folder, good, bad_models.Counting(chance.choice(["exits", "is killed", "leaves"]), chance.randint(0, 99)))
    return bad(folder, _DIED, **_ANY)


@way_to_be_bad
def a_model_that_soon_hangs(chance: random.Random, folder: Path, good: Sound) -> Bad:
    _pickled(folder, good, bad_models.Counting(chance.choice(["sleeps", "turns"]), chance.randint(0, 99)))
    return bad(folder, "it was not ready after", hangs=True, **_ANY)


# Graphs that were forged


def _with_graph(folder: Path, good: Sound, change: Callable[[Any], Any]) -> None:
    import onnx

    proto = onnx.load_model_from_string((copied(folder, good.onnx) / "model.onnx").read_bytes())
    change(proto)
    exchange(folder, "model.onnx", proto.SerializeToString())


@way_to_be_bad
def a_graph_that_reads_files(chance: random.Random, folder: Path, good: Sound) -> Bad:
    from onnx import TensorProto, helper

    where = chance.choice(["/etc/passwd", "../../../etc/passwd", "manifest.json", "/dev/zero", "a/../../b", "\\\\x\\y"])
    far = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value=where)

    def change(proto: Any) -> None:
        way = chance.randrange(4)
        if way == 0:
            proto.graph.initializer.append(far)
        elif way == 1:
            proto.graph.node.append(helper.make_node("Constant", [], ["far"], value=far))
        elif way == 2:
            sparse = proto.graph.sparse_initializer.add(dims=[4])
            sparse.values.CopyFrom(far)
            sparse.indices.CopyFrom(helper.make_tensor("at", TensorProto.INT64, [4], [0, 1, 2, 3]))
        else:
            node = helper.make_node("Constant", [], ["far"])
            attribute = node.attribute.add(name="sparse_value", type=11)
            attribute.sparse_tensor.dims.append(4)
            attribute.sparse_tensor.values.CopyFrom(far)
            attribute.sparse_tensor.indices.CopyFrom(helper.make_tensor("at", TensorProto.INT64, [4], [0, 1, 2, 3]))
            proto.graph.node.append(node)

    _with_graph(folder, good, change)
    return bad(folder, "the graph reads a file beside it", **_ANY)


@way_to_be_bad
def a_graph_of_other_operators(chance: random.Random, folder: Path, good: Sound) -> Bad:
    from onnx import helper

    domain = chance.choice(["com.microsoft", "ai.onnx.contrib", "evil", "ai.onnx.preview.training"])
    kind = chance.choice(["PyOp", "Loop", "CustomOp", "Gelu"])

    def change(proto: Any) -> None:
        node = helper.make_node(kind, [proto.graph.input[0].name], ["never"], domain=domain if kind != "Loop" else "")
        proto.graph.node.append(node)
        proto.opset_import.add(domain=domain, version=1)

    _with_graph(folder, good, change)
    return bad(folder, "which nobody allowed", **_ANY)


@way_to_be_bad
def a_graph_of_absurd_size(chance: random.Random, folder: Path, good: Sound) -> Bad:
    from onnx import TensorProto, helper

    size = 1 << chance.randint(44, 60)

    def change(proto: Any) -> None:
        way = chance.randrange(3)
        if way == 0:
            proto.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[size]))
            return
        shape = helper.make_tensor("size", TensorProto.INT64, [1], [size])
        proto.graph.node.append(helper.make_node("Constant", [], ["size"], value=shape))
        proto.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["huge"]))
        # What nobody asks for is not computed.
        proto.graph.node.append(helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0))
        first = proto.graph.output[0].name
        for node in proto.graph.node:
            for place, name in enumerate(node.output):
                if name == first:
                    node.output[place] = "before"
        proto.graph.node.append(helper.make_node("Identity", ["before"], [first]))
        proto.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, []))

    _with_graph(folder, good, change)
    reasons = f"model.onnx: it cannot be loaded|larger than what it holds|it cannot predict its own example|{_DIED}"
    return bad(folder, reasons, **_ANY)


@way_to_be_bad
def a_graph_that_is_none(chance: random.Random, folder: Path, good: Sound) -> Bad:
    data = (copied(folder, good.onnx) / "model.onnx").read_bytes()
    made = chance.choice(
        [b"", data[: len(data) // 2], chance.randbytes(500), data + b"\xff" * 9, b"\x08" + b"\xff" * 9]
    )
    exchange(folder, "model.onnx", made)
    return bad(folder, "model.onnx: it cannot be loaded", **_ANY)


@way_to_be_bad
def a_graph_that_says_another_thing(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(proto: Any) -> None:
        way = chance.randrange(3)
        if way == 0:
            del proto.metadata_props[:]
        elif way == 1:
            proto.graph.input[0].name = "other"
        else:
            node = next(one for one in proto.graph.node if one.op_type == "LinearClassifier")
            numbers = next(one for one in node.attribute if one.name == "coefficients")
            numbers.floats[3] = chance.choice([float("nan"), 1e30, numbers.floats[3] + 2.0])

    _with_graph(folder, good, change)
    reasons = "model.onnx: it cannot be loaded|predict its own example|is not what was recorded|no finite number"
    return bad(folder, reasons, **_ANY)
