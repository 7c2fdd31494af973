"""The signer: real keys in files, in variables and in a real ssh-agent; it signs only what follows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.core.checkpoint import Checkpoint, origin_of
from runner.core.dsse import envelope_bytes, parse_ssh_line, pre_authentication
from runner.core.merkle import Frontier, leaf_hash
from runner.core.predicates import EXTENSION, RUN
from runner.core.provenance import slsa
from runner.core.records import Head, Stamp, append, chain_fields, run_subjects
from runner.errors import HostError, InputError
from runner.process.allowed_environment import base_environment
from runner.process.signing import KEY, KEY_DATA, Signing
from runner.process.signing_keys import BadKey, file_key, generate, verifies
from runner.wiring.signing import predicate_schemas
from tests.audit.ledgers import run_of


def opened(environ: dict[str, str]) -> Signing:
    found = Signing.of(environ, predicate_schemas)
    assert found is not None
    return found


def statement(head: Head, at: str = "2026-01-01T00:00:00.000Z", number: int = 1) -> bytes:
    """The payload of the next record."""
    payloads: list[bytes] = []
    run = run_of(number)
    own = {**chain_fields(head, Stamp("0.1.0", at)), "run": run.as_json()}
    append(
        head, RUN, {**slsa(run, "0.1.0"), EXTENSION: own}, run_subjects(run), lambda data: payloads.append(data) or ()
    )  # type: ignore[func-returns-value]
    return payloads[0]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A new key."""
    generate(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def signing(key_file: Path) -> Iterator[Signing]:
    """A signer with a key in a file."""
    found = opened({KEY: str(key_file)})
    yield found
    found.close()


def test_a_generated_key_is_for_its_owner_alone_and_never_replaces_one(tmp_path: Path) -> None:
    line = generate(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert parse_ssh_line(line) == file_key(tmp_path / "key").public_key
    with pytest.raises(BadKey, match="exists"):
        generate(tmp_path / "key")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_that_others_may_get_at_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(InputError, match=f"its mode is {mode:04o}") as refused:
        opened({KEY: str(key_file)})
    assert f"chmod 600 {key_file}" in refused.value.hint
    key_file.chmod(0o400)
    opened({KEY: str(key_file)}).close()


def test_what_it_signs_follows_and_verifies(signing: Signing) -> None:
    head, frontier, first = Head(), Frontier(), b""
    signing.begin(head, frontier)
    for number in range(3):
        payload = statement(head, number=number)
        (made,) = signing.sign(payload)
        assert verifies(signing.public_key, made.sig, pre_authentication(payload))
        data = envelope_bytes(payload, [made])
        first = first or data
        head, frontier = head.after(data), frontier.appended(leaf_hash(data))
    checkpoint = Checkpoint(origin_of(first), 3, frontier.root())
    (note,) = signing.sign_checkpoint(checkpoint)
    assert verifies(signing.public_key, note.sig, checkpoint.text())


def test_it_refuses_what_does_not_follow(signing: Signing) -> None:
    first = statement(Head())
    for payload, why in (
        (statement(Head(1, "a" * 64)), "record 1 is next"),
        (first.replace(b'"schema":1', b'"schema":2'), "not valid"),
        (first.replace(b'"sequence":1', b'"sequence": 1'), "canonical"),
        (first.replace(b"https://slsa.dev/provenance/v1", b"https://example.com/v1"), "not known"),
        (first.replace(b'"invocationId":"run-1"', b'"invocationId":"run-2"'), "does not follow from the facts"),
        (first.replace(b'"name":"out1"', b'"name":"out2"'), "does not follow from the facts"),
        (b"{}", "not a statement"),
        (b"\xff", "not a statement"),
    ):
        signing.begin(Head(), Frontier())
        with pytest.raises(HostError, match=why):
            signing.sign(payload)
        with pytest.raises(HostError, match="no ledger was named"):
            signing.sign(first)  # after a refusal nothing is signed until it begins anew


def test_it_signs_no_record_twice_and_none_before_the_last(signing: Signing) -> None:
    signing.begin(Head(), Frontier())
    payload = statement(Head(), at="2026-01-02T00:00:00.000Z")
    (made,) = signing.sign(payload)
    head = Head().after(envelope_bytes(payload, [made]))
    with pytest.raises(HostError, match="record 2 is next"):
        signing.sign(payload)
    signing.begin(Head(), Frontier())
    signing.sign(payload)
    with pytest.raises(HostError, match="dated before"):
        signing.sign(statement(head, at="2026-01-01T00:00:00.000Z", number=2))


def test_a_ledger_may_not_go_back_within_a_session(signing: Signing) -> None:
    frontier = Frontier().appended(leaf_hash(b"x"))
    signing.begin(Head(1, "a" * 64), frontier)
    with pytest.raises(HostError, match="gone back"):
        signing.begin(Head(), Frontier())


def test_a_checkpoint_of_anything_else_is_refused(signing: Signing) -> None:
    signing.begin(Head(), Frontier())
    signing.sign(statement(Head()))
    with pytest.raises(HostError, match="other records"):
        signing.sign_checkpoint(Checkpoint("x", 1, b"0" * 32))


def test_openssh_keys_work_and_have_the_name_that_openssh_gives_them(tmp_path: Path) -> None:
    file = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    said = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True).stdout
    found = opened({KEY: str(file)})
    found.close()
    assert found.keyid == said.split()[1]


def test_a_key_in_a_variable_is_taken_out_of_the_environment(key_file: Path) -> None:
    environ = {KEY_DATA: key_file.read_text(), "PATH": os.defpath}
    found = opened(environ)
    found.close()
    assert environ == {"PATH": os.defpath}
    assert found.facts()["source"] == "environment"


def test_a_key_is_out_of_reach_where_stages_are_apart_and_it_has_one_name(key_file: Path, tmp_path: Path) -> None:
    for environ in ({KEY: str(key_file)}, {KEY_DATA: key_file.read_text()}):
        found = opened(dict(environ))
        assert found.facts()["keyReadableByStages"] is True  # as long as nobody has said more
        for apart in (True, False):
            found.stages_are_apart(apart)
            assert found.facts()["keyReadableByStages"] is not apart
        found.close()
    (tmp_path / "another").hardlink_to(key_file)
    found = opened({KEY: str(key_file)})
    found.stages_are_apart(True)
    assert found.facts()["keyReadableByStages"] is True
    found.close()


def test_the_runner_does_not_show_the_key_that_it_was_given(key_file: Path) -> None:
    program = """
import os
from runner.process.signing import Signing
from runner.wiring.signing import predicate_schemas
signing = Signing.of(os.environ, predicate_schemas)
own = open("/proc/self/environ").read()
signer = f"/proc/{signing._process.pid}/environ"
its = open(signer).read() if os.access(signer, os.R_OK) else ""
print("PRIVATE" in own, "RUNNER_SIGNING_KEY_DATA" in os.environ, "PRIVATE" in its)
signing.close()
"""
    environ = {**os.environ, KEY_DATA: key_file.read_text(), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_stages_see_neither_the_key_nor_the_agent() -> None:
    given = {KEY: "/key", KEY_DATA: "x", "SSH_AUTH_SOCK": "/agent", "SSH_AGENT_PID": "1", "PATH": "/bin"}
    assert base_environment(given) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("", "not a private key"),
        ("-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n", "not a private key"),
    ],
    ids=["missing", "empty", "damaged"],
)
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
        (tmp_path / "key").chmod(0o600)
    with pytest.raises(InputError, match=why):
        opened({KEY: str(tmp_path / "key")})


@pytest.mark.parametrize(("kind", "phrase", "why"), [("ecdsa", "", "Ed25519"), ("ed25519", "secret", "passphrase")])
def test_another_kind_of_key_or_a_locked_one_is_refused(tmp_path: Path, kind: str, phrase: str, why: str) -> None:
    file = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", phrase, "-f", file], check=True)
    with pytest.raises(InputError, match=why):
        opened({KEY: str(file)})


def test_a_key_that_is_named_twice_is_refused(key_file: Path) -> None:
    with pytest.raises(InputError, match="both name"):
        opened({KEY: str(key_file), KEY_DATA: "x"})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A real ssh-agent with one key; its environment, with the key's name as NAME."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("there is no ssh-agent here")
    place = tmp_path / "s"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # it listens now
    file, environ = tmp_path / "id", {**os.environ, "SSH_AUTH_SOCK": str(place)}
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    subprocess.run(["ssh-add", "-q", file], env=environ, check=True)
    said = subprocess.run(["ssh-add", "-l"], env=environ, capture_output=True, text=True, check=True).stdout
    name = re.search(r"SHA256:\S+", said)
    assert name is not None
    file.unlink()
    yield {"SSH_AUTH_SOCK": str(place), "NAME": name[0]}
    process.terminate()
    process.communicate()


def test_a_key_in_an_ssh_agent_signs_and_stays_there(agent: dict[str, str]) -> None:
    found = opened({KEY: f"ssh-agent:{agent['NAME']}", "SSH_AUTH_SOCK": agent["SSH_AUTH_SOCK"]})
    found.begin(Head(), Frontier())
    payload = statement(Head())
    (made,) = found.sign(payload)
    found.close()
    assert made.keyid == agent["NAME"]
    assert verifies(found.public_key, made.sig, pre_authentication(payload))


def test_a_key_that_the_agent_lacks_is_named_with_those_it_has(agent: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        opened({KEY: "ssh-agent:SHA256:x", "SSH_AUTH_SOCK": agent["SSH_AUTH_SOCK"]})
    assert agent["NAME"] in caught.value.hint


def test_an_agent_that_is_not_there_is_an_error_that_helps(tmp_path: Path) -> None:
    for environ in ({}, {"SSH_AUTH_SOCK": str(tmp_path / "none")}):
        with pytest.raises(InputError, match="ssh-agent"):
            opened({KEY: "ssh-agent:SHA256:x", **environ})
