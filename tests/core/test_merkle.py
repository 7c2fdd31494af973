"""The tree: the roots of RFC 6962's own vectors, and proofs that hold for what is there and for nothing else."""

from __future__ import annotations

import pytest

from runner.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    extends,
    frontier_of,
    includes,
    inclusion_proof,
    leaf_hash,
    root_of,
)

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The vectors that implementations of Certificate Transparency share."""


def _leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def test_the_roots_are_those_of_certificate_transparency() -> None:
    leaves = [leaf_hash(bytes.fromhex(text)) for text in LEAVES]
    assert [root_of(leaves[: count + 1]).hex() for count in range(8)] == ROOTS
    assert root_of([]) == EMPTY_ROOT


def test_every_leaf_is_proved_in_every_tree_and_in_no_other_place() -> None:
    for size in range(1, 34):
        leaves = _leaves(size)
        root = root_of(leaves)
        for index in range(size):
            proof = inclusion_proof(leaves, index)
            assert includes(leaves[index], index, size, proof, root)
            assert not includes(leaves[index], (index + 1) % size, size, proof, root) or size == 1
            assert not includes(leaf_hash(b"x"), index, size, proof, root)
            assert not includes(leaves[index], index, size, [*proof, root], root)
            assert not proof or not includes(leaves[index], index, size, proof[:-1], root)


def test_every_beginning_is_proved_and_another_is_not() -> None:
    for size in range(1, 34):
        leaves = _leaves(size)
        for older in range(1, size + 1):
            proof = consistency_proof(leaves, older)
            old, new = root_of(leaves[:older]), root_of(leaves)
            assert extends(older, old, size, new, proof)
            assert not extends(older, leaf_hash(b"x"), size, new, proof)
            assert not extends(older, old, size, leaf_hash(b"x"), proof)
            assert not extends(older, old, size, new, [*proof, old])


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_for_what_is_not_there(index: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(_leaves(3), index)
    with pytest.raises(ValueError, match="no beginning"):
        consistency_proof(_leaves(3), 4)
    assert not includes(leaf_hash(b"0"), index, 3, [], EMPTY_ROOT)
    assert not extends(0, EMPTY_ROOT, 3, root_of(_leaves(3)), [])


def test_a_frontier_survives_its_text_and_has_one_form() -> None:
    for size in range(20):
        frontier = frontier_of(_leaves(size))
        assert Frontier.parse(frontier.as_text()) == frontier
        assert len(frontier.hashes) == size.bit_count()
    good = frontier_of(_leaves(3)).as_text()
    for bad in ("", "3\n", good + "\n", good.upper(), " " + good, good.replace("3", "4", 1), good[:-1]):
        with pytest.raises(ValueError, match=r".*"):
            Frontier.parse(bad)
