"""Checks what `runner audit prove` printed: a record is in a ledger, with nothing but the proof and a trust file.

    python proof.py PROOF [--trust FILE]

Ends with 0 where the proof holds, with 1 where it does not.
"""

import argparse
import base64
import json
import pathlib
import sys

from chain import NONSENSE, Parser, check_signed, need, read_note, read_trust, sha256


def check_note(name, data, trust):
    """Size and root of a checkpoint that is signed; raises ValueError for any other."""
    _, size, root, made, text = read_note(data.encode())
    need(
        not list(check_signed(name, made, text, size, {"runner", "proposals"}, trust)),
        f"{name} is not signed by who may",
    )
    return size, root


def check_proof(proof, trust):
    """Raises one of NONSENSE unless the record is in the tree of the checkpoint (RFC 9162, 2.1.3.2)."""
    data = base64.b64decode(proof["record"])
    size, root = check_note("the checkpoint", proof["checkpoint"], trust)
    node, last, found = proof["index"], size - 1, sha256(b"\0", data)
    need(
        0 <= node <= last and (size, node + 1) == (proof["size"], proof["sequence"]),
        "the record is beyond the checkpoint",
    )
    for part in map(bytes.fromhex, proof["hashes"]):
        if node % 2 or node == last:
            found = sha256(b"\1", part, found)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\1", found, part)
        node, last = node >> 1, last >> 1
    need((last, found) == (0, root), "the record is not in the tree of the checkpoint")
    if "consistency" in proof:
        check_extends(proof["consistency"], size, root, trust)


def check_extends(proof, size, root, trust):
    """Raises ValueError unless the tree begins with that of an older checkpoint (RFC 9162, 2.1.4.2)."""
    older, old_root = check_note("the older checkpoint", proof["from"], trust)
    parts = [bytes.fromhex(text) for text in proof["hashes"]]
    need(0 < older <= size == proof["size"], "the older checkpoint is not older")
    if older == size:
        need(not parts and old_root == root, "both checkpoints are of the same size, and not the same")
        return
    parts = parts if older & (older - 1) else [old_root, *parts]
    node, last = older - 1, size - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = parts[0]
    for part in parts[1:]:
        if node % 2 or node == last:
            old, new = sha256(b"\1", part, old), sha256(b"\1", part, new)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            new = sha256(b"\1", new, part)
        node, last = node >> 1, last >> 1
    need((last, old, new) == (0, old_root, root), "the ledger does not extend the older checkpoint")


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof")
    parser.add_argument("--trust")
    asked = parser.parse_args()
    try:
        trust = asked.trust and read_trust(pathlib.Path(asked.trust).read_text())
        check_proof(json.loads(pathlib.Path(asked.proof).read_text()), trust)
    except (*NONSENSE, OSError) as error:
        sys.exit(f"the proof does not hold: {error}")
    print("the proof holds")


if __name__ == "__main__":
    main()
