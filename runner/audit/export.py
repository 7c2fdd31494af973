"""Runs in the words of others: SLSA provenance in DSSE envelopes, and OpenLineage events; a line of JSON each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.audit.chain import Chain
from runner.core.predicates import RUN
from runner.core.provenance import rfc3339
from runner.core.records import Record, RunFacts

_PRODUCER = "https://gitops-runner.dev"
_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


def slsa_lines(chain: Chain) -> Iterator[str]:
    """The envelopes of all runs as they were recorded, signatures and all."""
    for number, record in chain.records():
        if record.kind is RUN:
            yield chain.data[number - 1].decode()


def openlineage_lines(chain: Chain) -> Iterator[str]:
    """An event for each run: what it read and what it wrote."""
    for _, record in chain.records():
        run = record.run
        if run is not None:
            yield json.dumps(_event(run, record), sort_keys=True) + "\n"


FORMATS: Mapping[str, Callable[[Chain], Iterator[str]]] = {"slsa": slsa_lines, "openlineage": openlineage_lines}


def _event(run: RunFacts, record: Record) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE" if run.succeeded else "FAIL",
        "eventTime": rfc3339(run.started_at, run.seconds),
        "producer": _PRODUCER,
        "schemaURL": _EVENT,
        "run": {"runId": _run_id(run), "facets": {}},
        "job": {"namespace": "gitops-runner", "name": str(run.address)},
        "inputs": [_dataset(path, str(digest)) for path, digest in sorted(run.material.get("dep", {}).items())],
        "outputs": [_dataset(out.path, out.md5) for out in run.outs],
    }


def _run_id(run: RunFacts) -> str:
    """OpenLineage wants a UUID."""
    try:
        return str(uuid.UUID(run.run_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{_PRODUCER}/runs/{run.run_id}"))


def _dataset(path: str, digest: str) -> dict[str, Any]:
    facet = {
        "_producer": _PRODUCER,
        "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json",
        "datasetVersion": digest,
    }
    return {"namespace": "gitops-runner", "name": path, "facets": {"version": facet}}
