"""Swaps, deaths and bad models: whatever happens to workers, clients of the old model notice nothing."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from runner.errors import InputError
from runner.serve import pipe
from runner.serve.settings import as_json
from runner.values import replace
from tests.serve import bad_models
from tests.serve.models import ROW, churn, customers, labels, pipeline, write_model
from tests.serve.servers import PATIENCE, REPOSITORY, ask_over, wait_until
from tests.serve.supervised import Running, clients, exchange, of, supervised


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models that say different things of ROW, and bad ones by name."""
    home = tmp_path_factory.mktemp("models")
    opposite = labels(customers()).map({"yes": "no", "no": "yes"})
    made = {
        "one": churn(home / "one"),
        "two": write_model(home / "two", pipeline(LogisticRegression()), opposite, "classification"),
    }
    kinds = (bad_models.NotANumber, bad_models.Moody, bad_models.Mortal, bad_models.Stuck, bad_models.Greedy)
    for kind in (*kinds, bad_models.Talking, bad_models.Parent):
        made[kind.__name__] = write_model(
            home / kind.__name__, kind(), labels(customers()), "classification", format="joblib"
        )
    for kind in (bad_models.Hanging, bad_models.Dying):
        folder = write_model(
            home / kind.__name__, bad_models.Sound(), labels(customers()), "classification", format="joblib"
        )
        buffer = io.BytesIO()
        joblib.dump(kind(), buffer)
        exchange(folder, "model.joblib", buffer.getvalue())
        made[kind.__name__] = folder
    other = churn(home / "other")
    exchange(other, "expected.json", b'{"version": 1, "prediction": ["yes", "yes", "yes", "yes", "yes"]}')
    made["Otherwise"] = other
    damaged = churn(home / "damaged")
    (damaged / "model.skops").write_bytes(b"PK")
    made["Damaged"] = damaged
    return made


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """One supervisor for all tests here."""
    with supervised() as made:
        yield made


@pytest.fixture
def running(shared: Running, folders: dict[str, Path]) -> Running:
    """The supervisor, which serves the model `one` as version 1."""
    shared.serve_alone(of(folders["one"], "1"))
    return shared


SWAPS = int(os.environ.get("SWAPS", "100"))


@pytest.mark.parametrize(("workers", "swaps"), [(1, SWAPS * 4 // 5), (2, SWAPS // 5)])
def test_no_request_fails_while_models_are_swapped(
    running: Running, folders: dict[str, Path], workers: int, swaps: int
) -> None:
    since = len(running.events)
    with clients(running, 8) as answers:
        for number in range(swaps):
            running.serve(of(folders["two" if number % 2 == 0 else "one"], str(number + 2), workers))
    assert len(answers) > swaps
    said = {status_and_body for status_and_body in answers if not isinstance(status_and_body, Exception)}
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert said == {(200, b'{"predictions":["yes"]}'), (200, b'{"predictions":["no"]}')}
    for number in range(swaps):
        assert running.wait_for("drained", str(number + 1), since)["cut"] == 0


BAD = {
    "NotANumber": "of its own example it says no finite number (prediction)",
    "Moody": "what it says of its example is not what was recorded (prediction)",
    "Otherwise": "what it says of its example is not what was recorded (prediction)",
    "Damaged": "model.skops: its bytes are not those that the manifest names",
    "Dying": "the worker died while it was starting",
    "Hanging": "it was not ready after",
}


def test_a_bad_model_is_never_served_and_the_old_one_never_interrupted(
    running: Running, folders: dict[str, Path]
) -> None:
    start = len(running.events)
    with clients(running, 2) as answers:
        for name, reason in BAD.items():
            since = len(running.events)
            running.supervisor.swap(of(folders[name], name, **({"load_seconds": 2.0} if name == "Hanging" else {})))
            assert reason in running.wait_for("failed", name, since)["reason"]
        since = len(running.events)
        wrong = of(folders["two"], "digest")
        running.supervisor.swap(replace(wrong, served=replace(wrong.served, digest="0" * 64)))
        assert "manifest.json: its SHA-256 is not 0000" in running.wait_for("failed", "digest", since)["reason"]
        since = len(running.events)
        pickled = of(folders["Mortal"], "pickle")
        running.supervisor.swap(replace(pickled, served=replace(pickled.served, formats=("skops",))))
        assert (
            "it is in the format joblib, and allowed are: skops"
            in running.wait_for("failed", "pickle", since)["reason"]
        )
    assert set(answers) == {(200, b'{"predictions":["yes"]}')}
    assert [event["version"] for event in running.events[start:] if event["event"] == "serving"] == []
    assert running.status()["version"] == "1"


def test_a_worker_that_is_killed_is_replaced_and_who_waits_is_answered(running: Running) -> None:
    since = len(running.events)
    os.kill(running.pid, signal.SIGKILL)
    running.wait_for("starting again", "1", since)
    assert running.ask() == (200, {"predictions": ["yes"]})
    assert running.wait_for("serving", "1", since)["pid"] != running.pid


def test_a_template_that_is_killed_is_replaced_while_the_worker_serves(
    running: Running, folders: dict[str, Path]
) -> None:
    since = len(running.events)
    template = running.supervisor._template
    assert template is not None
    os.kill(template.pid, signal.SIGKILL)
    running.supervisor.swap(of(folders["two"], "2"))
    assert running.ask()[0] == 200
    running.wait_for("serving", "2", since)
    wait_until(lambda: running.ask() == (200, {"predictions": ["no"]}))


@pytest.mark.parametrize(("kind", "city", "event"), [("Mortal", "death", "died"), ("Stuck", "eternity", "ended")])
def test_a_model_that_comes_to_grief_over_a_row_is_served_again(
    running: Running, folders: dict[str, Path], kind: str, city: str, event: str
) -> None:
    running.serve_alone(of(folders[kind], kind, stuck_seconds=2.0))
    since = len(running.events)
    with contextlib.suppress(OSError, http.client.HTTPException):
        running.ask(body={"instances": [{**ROW, "city": city}]})
    running.wait_for(event, kind, since)
    assert running.ask() == (200, {"predictions": ["yes"]})
    assert running.wait_for("serving", kind, since)["pid"] != running.pid


def test_a_version_whose_worker_keeps_dying_gives_way_to_the_one_before(
    running: Running, folders: dict[str, Path]
) -> None:
    running.serve_alone(of(folders["one"], "sound"))
    running.serve_alone(of(folders["Mortal"], "mortal", deaths=2))
    since = len(running.events)
    for deaths in (1, 2):
        with contextlib.suppress(OSError, http.client.HTTPException):
            running.ask(body={"instances": [{**ROW, "city": "death"}]})
        wait_until(lambda: [one["event"] for one in running.events[since:]].count("died") == deaths)  # noqa: B023
        assert running.ask() == (200, {"predictions": ["yes"]})
    said = "its worker died 2 times within 600 s: version sound, which served before, serves again"
    assert running.wait_for("failed", "mortal", since)["reason"] == said
    running.wait_for("serving", "sound", since)
    assert running.status()["version"] == "sound"


def test_a_model_that_eats_all_memory_is_ended_and_served_again(running: Running, folders: dict[str, Path]) -> None:
    running.serve_alone(of(folders["Greedy"], "Greedy", memory_bytes=128 << 20))
    status, told = running.ask(body={"instances": [{**ROW, "city": "feast"}]})
    assert (status, told["error"]) == (413, "there is not enough memory for these rows: send fewer at a time")
    assert running.ask() == (200, {"predictions": ["yes"]})
    since = len(running.events)
    with contextlib.suppress(OSError, http.client.HTTPException):
        running.ask(body={"instances": [{**ROW, "city": "hunger"}]})
    assert running.wait_for("ended", "Greedy", since)["reason"] == "it takes more than 128 MiB of memory"
    assert running.ask() == (200, {"predictions": ["yes"]})


def test_a_worker_gains_no_rights_and_has_no_network(running: Running) -> None:
    process = Path(f"/proc/{running.pid}")
    assert "NoNewPrivs:\t1" in (process / "status").read_text()
    kept = [note for note in running.status()["notes"] if "network" in note]
    apart = (process / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert apart == (kept == []), kept


def test_what_the_supervisor_is_told_stands_in_the_status(running: Running) -> None:
    running.supervisor.tell({"release": {"failed": "no such object"}})
    wait_until(lambda: running.status().get("release") == {"failed": "no such object"})


def test_slow_and_silent_clients_and_endless_headers_harm_nobody(running: Running, folders: dict[str, Path]) -> None:
    running.serve_alone(of(folders["one"], "slow", head_seconds=1.0))
    slow = [running.connect() for _ in range(50)]
    for number, one in enumerate(slow):
        one.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\n" if number % 2 else b"")
    with running.connect() as endless:
        endless.sendall(b"GET /ping HTTP/1.1\r\nx: " + b"a" * (80 << 10))
        assert endless.recv(12) == b"HTTP/1.1 431"
    with running.connect() as bad:
        bad.sendall(b"\x16\x03\x01 no http\r\n\r\n")
        assert bad.recv(12) == b"HTTP/1.1 400"
    assert running.ask() == (200, {"predictions": ["yes"]})
    for number, one in enumerate(slow):
        assert one.recv(12) == (b"HTTP/1.1 408" if number % 2 else b"")
        one.close()


def test_who_trickles_the_rest_of_a_body_or_empty_lines_is_cut_off(running: Running, folders: dict[str, Path]) -> None:
    running.serve_alone(of(folders["one"], "trickle", head_seconds=1.0))
    for length, more in ((b"9", b"a"), (b"0", b"\r\n")):
        with running.connect() as bare:
            bare.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\ncontent-length: " + length + b"\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n\n"):
                answer += bare.recv(4096)
            bare.sendall(more)
            assert bare.recv(4096) == b""


def test_who_never_reads_the_last_answers_is_cut_off(running: Running, folders: dict[str, Path]) -> None:
    running.serve_alone(of(folders["one"], "unread", request_seconds=1.0))
    files = Path(f"/proc/{running.pid}/fd")
    before, asked = len(list(files.iterdir())), b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for count in range(100, 260, 4):  # the end of some of these does not fit into what the kernel takes
            bare = stack.enter_context(socket.socket())
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            bare.connect(("127.0.0.1", running.port))
            bare.sendall(asked * count)
        wait_until(lambda: len(list(files.iterdir())) > before + 30)
        wait_until(lambda: len(list(files.iterdir())) <= before)


def test_a_worker_that_was_told_to_serve_drains_where_another_model_comes(
    running: Running, folders: dict[str, Path]
) -> None:
    since = len(running.events)
    told = running.supervisor._tell

    def hasty(event: Any) -> None:
        told(event)
        if event["event"] == "ready" and event.get("version") == "hasty":
            running.supervisor.swap(of(folders["two"], "next"))

    running.supervisor._tell = hasty
    try:
        running.supervisor.swap(of(folders["one"], "hasty"))
        running.wait_for("serving", "next", since)
        assert running.wait_for("drained", "hasty", since)["cut"] == 0
    finally:
        running.supervisor._tell = told


def test_settings_that_are_too_long_are_refused_and_end_nothing(running: Running, folders: dict[str, Path]) -> None:
    long = of(folders["two"], "long")
    for length in (150_000, 300_000):
        with pytest.raises(InputError, match="too long for a server"):
            running.supervisor.swap(replace(long, served=replace(long.served, trusted=("x" * length,))))
    running.supervisor.tell({"why": "x" * 300_000})
    assert running.ask() == (200, {"predictions": ["yes"]})


@pytest.mark.parametrize("city", ["nest", "much", "poison"])
def test_a_model_that_talks_to_the_supervisor_ends_its_own_worker_alone(
    running: Running, folders: dict[str, Path], city: str
) -> None:
    running.serve_alone(of(folders["Talking"], "Talking"))
    since = len(running.events)
    with contextlib.suppress(OSError, http.client.HTTPException):
        running.ask(body={"instances": [{**ROW, "city": city}]})
    assert running.wait_for("ended", "Talking", since)["reason"] == "it says what nobody understands"
    assert running.ask() == (200, {"predictions": ["yes"]})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)) as connection:
        assert ask_over(connection, "/metrics")[0] == 200


def test_what_a_model_has_started_ends_with_its_worker(running: Running, folders: dict[str, Path]) -> None:
    running.serve_alone(of(folders["Parent"], "Parent"))
    running.ask(body={"instances": [{**ROW, "city": "child"}]})
    children = _children(running.pid)
    assert len(children) == 1
    buried = Path(f"/proc/{running.pid}")
    running.supervisor._post(lambda: wait_until(lambda: not buried.exists()))  # it hears of the death late
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{children[0]}").exists() or _state(children[0]) == "Z")


def test_a_model_that_is_given_up_before_its_process_is_there_leaves_none(folders: dict[str, Path]) -> None:
    with supervised() as fresh:
        fresh.supervisor.swap(of(folders["Hanging"], "Hanging"))
        fresh.serve(of(folders["one"], "1"))
        template = fresh.supervisor._template
        assert template is not None
        wait_until(lambda: _children(template.pid) == [fresh.pid])


def test_workers_that_hang_are_ended_where_the_supervisor_is_no_more(folders: dict[str, Path]) -> None:
    ours, theirs = pipe.pair()
    lines = (
        "import sys, runner.serve.template as template",
        "template._LEFT_SECONDS = 0.5",
        f"sys.argv[1:] = ['{theirs.fileno()}']",
        "sys.exit(template.main())",
    )
    template = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], pass_fds=(theirs.fileno(),), cwd=REPOSITORY)
    theirs.close()
    ours.settimeout(PATIENCE)
    mine, workers = pipe.pair()
    settings = as_json(of(folders["Hanging"], "Hanging"))
    pipe.say(ours, {"token": 1, "settings": settings, "key": ""}, (workers.fileno(),))
    while (heard := pipe.heard(ours)[0]) is not None and heard["say"] != "forked":
        pass
    assert heard is not None
    ours.close()
    assert template.wait(PATIENCE) == 0
    wait_until(lambda: not Path(f"/proc/{heard['pid']}").exists() or _state(heard["pid"]) == "Z")
    mine.close()
    workers.close()


def _children(pid: int) -> list[int]:
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [one for one in found if _parent(one) == pid and _state(one) != "Z"]


def _parent(pid: int) -> int:
    return int((_stat(pid) or ["", "0"])[1])


def _state(pid: int) -> str:
    return (_stat(pid) or ["Z"])[0]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
