"""The messages of the Open Inference Protocol V2 over gRPC, described field by field.

Names and numbers are those of the protocol's service `inference.GRPCInferenceService`, and the real client of Triton is
held against them in the tests. Only the calls that this server answers are here.
"""

from __future__ import annotations

import functools
from typing import Any

SERVICE = "inference.GRPCInferenceService"
_PACKAGE = "inference"
_PARAMETERS = "map InferParameter"
_TENSOR = "name=1 string, datatype=2 string, shape=3 *int64"

_MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live=1 bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready=1 bool",
    "ModelReadyRequest": "name=1 string, version=2 string",
    "ModelReadyResponse": "ready=1 bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name=1 string, version=2 string, extensions=3 *string",
    "ModelMetadataRequest": "name=1 string, version=2 string",
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelMetadataResponse": (
        "name=1 string, versions=2 *string, platform=3 string, inputs=4 *ModelMetadataResponse.TensorMetadata, "
        "outputs=5 *ModelMetadataResponse.TensorMetadata"
    ),
    "InferParameter": (
        "bool_param=1 ?bool, int64_param=2 ?int64, string_param=3 ?string, double_param=4 ?double, "
        "uint64_param=5 ?uint64"
    ),
    "InferTensorContents": (
        "bool_contents=1 *bool, int_contents=2 *int32, int64_contents=3 *int64, uint_contents=4 *uint32, "
        "uint64_contents=5 *uint64, fp32_contents=6 *float, fp64_contents=7 *double, bytes_contents=8 *bytes"
    ),
    "ModelInferRequest.InferInputTensor": f"{_TENSOR}, parameters=4 {_PARAMETERS}, contents=5 InferTensorContents",
    "ModelInferRequest.InferRequestedOutputTensor": f"name=1 string, parameters=2 {_PARAMETERS}",
    "ModelInferRequest": (
        f"model_name=1 string, model_version=2 string, id=3 string, parameters=4 {_PARAMETERS}, "
        "inputs=5 *ModelInferRequest.InferInputTensor, outputs=6 *ModelInferRequest.InferRequestedOutputTensor, "
        "raw_input_contents=7 *bytes"
    ),
    "ModelInferResponse.InferOutputTensor": f"{_TENSOR}, parameters=4 {_PARAMETERS}, contents=5 InferTensorContents",
    "ModelInferResponse": (
        f"model_name=1 string, model_version=2 string, id=3 string, parameters=4 {_PARAMETERS}, "
        "outputs=5 *ModelInferResponse.InferOutputTensor, raw_output_contents=6 *bytes"
    ),
}
"""By message its fields: name, number, type. `*` stands for any number of them, `?` for one out of all that have it."""
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")


@functools.cache
def messages() -> dict[str, Any]:
    """The classes of all messages, by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="runner/inference.proto", package=_PACKAGE, syntax="proto3")
    described: dict[str, Any] = {}
    for name, fields in _MESSAGES.items():
        outer, _, inner = name.partition(".")
        if outer not in described:
            described[outer] = file.message_type.add(name=outer)
        made = described[outer].nested_type.add(name=inner) if inner else described[outer]
        for field in filter(None, fields.split(", ")):
            _add_field(made, name, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


def _add_field(made: Any, message: str, stated: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    place, _, kind = stated.partition(" ")
    name, _, number = place.partition("=")
    field = made.field.add(name=name, number=int(number), label=Field.LABEL_OPTIONAL)
    if kind.startswith("map "):
        # A map is a list of entries, each of a message of its own, by the rule of the format itself.
        entry = made.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, message, "key=1 string")
        _add_field(entry, message, f"value=2 {kind.removeprefix('map ')}")
        field.label, kind = Field.LABEL_REPEATED, f"{message}.{entry.name}"
    elif kind.startswith("*"):
        field.label, kind = Field.LABEL_REPEATED, kind[1:]
    elif kind.startswith("?"):
        if not made.oneof_decl:
            made.oneof_decl.add(name="parameter_choice")
        field.oneof_index, kind = 0, kind[1:]
    plain = getattr(Field, f"TYPE_{kind.upper()}", None)
    if plain is not None:
        field.type = plain
    else:
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
