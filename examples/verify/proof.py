"""Checks what `runner audit prove` printed: a record is in a ledger, with nothing but the proof and a trust file.

    python proof.py PROOF [--trust FILE]

Ends with 0 where the proof holds, with 1 where it does not.
"""

import argparse
import json
import sys

from records import NONSENSE, decode, need, sha256
from verify import check_signed, kept, read_note, read_trust


def inclusion(place, size, leaf, hashes):
    """The root of a tree of so many leaves with this one in its place; `hashes`: what lies beside its way up."""
    if size == 1:
        need(not hashes)
        return leaf
    half, (*lower, beside) = 1 << (size - 1).bit_length() - 1, hashes
    if place < half:
        return sha256(b"\1", inclusion(place, half, leaf, lower), beside)
    return sha256(b"\1", beside, inclusion(place - half, size - half, leaf, lower))


def consistency(older, size, hashes, root):
    """The roots of a tree as it was and as it is (RFC 6962, 2.1.2); `root`: of the older one, where it is known."""
    if older == size:
        [root] = [root] if root and not hashes else hashes
        return root, root
    half, (*lower, beside) = 1 << (size - 1).bit_length() - 1, hashes
    if older <= half:
        old, new = consistency(older, half, lower, root)
        return old, sha256(b"\1", new, beside)
    old, new = consistency(older - half, size - half, lower, None)
    return sha256(b"\1", beside, old), sha256(b"\1", beside, new)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof")
    parser.add_argument("--trust")
    parser.error = lambda text: sys.exit(f"{parser.format_usage()}{text}")
    asked = parser.parse_args()
    trust, proof = kept(asked.trust, "trust file", read_trust), kept(asked.proof, "proof", json.loads)
    try:
        notes = [read_note(proof["checkpoint"].encode())]
        notes += [read_note(proof["consistency"]["from"].encode())] if "consistency" in proof else []
        for _, size, _, made, text in notes:
            need(not list(check_signed("", made, text, size, {"runner", "proposals"}, trust)))
        _, size, root, *_ = notes[0]
        need(size == proof["size"], 0 < proof["sequence"] == proof["index"] + 1 <= size)
        leaf = sha256(b"\0", decode(proof["record"]))
        need(inclusion(proof["index"], size, leaf, [*map(bytes.fromhex, proof["hashes"])]) == root)
        for _, older, old_root, *_ in notes[1:]:
            need(0 < older <= size == proof["consistency"]["size"])
            hashes = [*map(bytes.fromhex, proof["consistency"]["hashes"])]
            need(consistency(older, size, hashes, old_root) == (old_root, root))
    except NONSENSE:
        sys.exit("the proof does not hold")
    print("the proof holds")


if __name__ == "__main__":
    main()
