"""Proofs that stand alone: a record is in a ledger, and one ledger is the beginning of another."""

from __future__ import annotations

import base64
from typing import Any

from runner.audit.chain import Chain
from runner.core.checkpoint import Checkpoint
from runner.core.merkle import consistency_proof, inclusion_proof


def inclusion(chain: Chain, sequence: int, checkpoint: bytes, size: int) -> dict[str, Any]:
    """That a record is among the first `size`, whose root a checkpoint names, as plain JSON."""
    leaves = [examined.leaf for examined in chain.examined[:size]]
    return {
        "schema": 1,
        "sequence": sequence,
        "record": base64.b64encode(chain.data[sequence - 1]).decode(),
        "index": sequence - 1,
        "size": size,
        "hashes": [part.hex() for part in inclusion_proof(leaves, sequence - 1)],
        "checkpoint": checkpoint.decode(),
    }


def consistency(chain: Chain, older: Checkpoint) -> dict[str, Any]:
    """That the records of an older checkpoint are the first of this ledger, as plain JSON."""
    leaves = [examined.leaf for examined in chain.examined]
    return {
        "from": older.as_bytes().decode(),
        "size": len(leaves),
        "hashes": [part.hex() for part in consistency_proof(leaves, older.size)],
    }
