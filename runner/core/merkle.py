"""A Merkle tree over the raw bytes of records, as RFC 6962 has it: appended to in O(log n), proved in O(log n).

The hash of a leaf is SHA-256(0x00, bytes), of a node SHA-256(0x01, left, right); a tree of n leaves splits at the
largest power of two below n. Two proofs come with it: a record is in a tree (inclusion), and one tree is the beginning
of another (consistency).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from runner.values import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 6962, 2.1)."""
_HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """The hash of a record's raw bytes as a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: the roots of its whole subtrees, the largest first. All that appending needs."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError("a frontier has one hash for each bit that is set in its size")

    def appended(self, leaf: bytes) -> Frontier:
        """The frontier with one more leaf."""
        hashes, size = list(self.hashes), self.size
        while size & 1:
            leaf = node_hash(hashes.pop(), leaf)
            size >>= 1
        return Frontier(self.size + 1, (*hashes, leaf))

    def root(self) -> bytes:
        """The root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def as_text(self) -> str:
        """The size and each hash in hex, a line each: the file of the state branch."""
        return "".join(f"{line}\n" for line in (self.size, *(part.hex() for part in self.hashes)))

    @staticmethod
    def parse(text: str) -> Frontier:
        """The inverse of `as_text`; raises ValueError for anything else."""
        first, *rest = text.split("\n")
        found = Frontier(int(first), tuple(bytes.fromhex(line) for line in rest[:-1]))
        if found.as_text() != text or any(len(part) != _HASH_BYTES for part in found.hashes):
            raise ValueError("not a frontier in its one form")
        return found


def frontier_of(leaves: Sequence[bytes]) -> Frontier:
    """The frontier of a tree with these leaf hashes."""
    found = Frontier()
    for leaf in leaves:
        found = found.appended(leaf)
    return found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of a tree with these leaf hashes."""
    return frontier_of(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at `index`, counted from 0, from the leaf upwards; raises ValueError outside."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows the leaf at `index` in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(part, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, part)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """That the tree of the first `size` leaves is the beginning of this one; raises ValueError outside of 1 to n."""
    if not 1 <= size <= len(leaves):
        raise ValueError(f"there is no beginning of {size} in a tree of {len(leaves)}")
    return _subproof(leaves, size, whole=True)


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = _split(len(leaves))
    if size <= split:
        return [*_subproof(leaves[:split], size, whole=whole), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], size - split, whole=False), root_of(leaves[:split])]


def extends(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the old tree is the beginning of the new one (RFC 9162, 2.1.4.2)."""
    if not 1 <= old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    parts = list(proof)
    if old_size & (old_size - 1) == 0:
        parts.insert(0, old_root)
    if not parts:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_found = new_found = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_found, new_found = node_hash(part, old_found), node_hash(part, new_found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new_found = node_hash(new_found, part)
        node, last = node >> 1, last >> 1
    return last == 0 and old_found == old_root and new_found == root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
