"""What servers say of a push, as they say it, and what a host that is no git host says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from runner.errors import HostError
from runner.git.commit import CommitRequest, Identity
from runner.git.mirror import Mirror
from runner.git.network import checked_url, network_failure, redacted
from runner.git.push import PushStatus, push_result

BRANCH = "runner/state"
REF = f"refs/heads/{BRANCH}"


def said(flag: str, summary: str) -> str:
    return f"To https://x\n{flag}\tabc:refs/heads/{BRANCH}\t{summary}\nDone\n"


@pytest.mark.parametrize("flag", [" ", "*", "+", "="])
def test_a_ref_that_is_where_it_should_be_is_accepted(flag: str) -> None:
    assert push_result(0, said(flag, "a..b"), "", REF).status is PushStatus.ACCEPTED


@pytest.mark.parametrize(
    "summary",
    [
        "[rejected] (fetch first)",
        "[rejected] (non-fast-forward)",
        "[rejected] (stale info)",
        "[rejected] (already exists)",
        "[remote rejected] (cannot lock ref 'refs/heads/runner/state': is at 1 but expected 2)",
        "[remote rejected] (cannot lock ref 'refs/heads/runner/state': reference already exists)",
        "[remote rejected] (failed to update ref)",
        "[remote rejected] (incorrect old value provided)",
    ],
)
def test_every_way_to_be_late_is_a_lost_race(summary: str) -> None:
    assert push_result(1, said("!", summary), "error: failed to push some refs", REF).status is PushStatus.LOST_RACE


@pytest.mark.parametrize(
    ("summary", "error", "hint"),
    [
        ("[remote rejected] (protected branch hook declined)", "remote: error: GH006: Protected branch", "protection"),
        (
            "[remote rejected] (push declined due to repository rule violations)",
            "remote: error: GH013: Repository rule violations found for refs/heads/runner/state.",
            "protection",
        ),
        ("[remote rejected] (pre-receive hook declined)", "remote: GitLab: You are not allowed to push", "hook"),
        ("[remote rejected] (unpacker error)", "remote: fatal: No space left on device", "disk"),
        (
            "[remote rejected] (refusing to allow a GitHub App to create or update workflow `x` without `workflows`)",
            "",
            "workflow",
        ),
        ("[remote rejected] (branch is currently checked out)", "", "check out another branch"),
        ("[remote rejected] (deny updating a hidden ref)", "", "record.branch"),
    ],
)
def test_a_refusal_keeps_the_words_and_gives_a_hint(summary: str, error: str, hint: str) -> None:
    result = push_result(1, said("!", summary), error, REF)
    assert result.status is PushStatus.REFUSED
    assert summary in result.detail
    assert hint in result.hint


@pytest.mark.parametrize(
    "error",
    [
        "remote: Permission to a/b.git denied to github-actions[bot].",
        "fatal: unable to access 'https://github.com/a/b/': The requested URL returned error: 403",
        "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
        "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
        "fatal: Authentication failed for 'https://github.com/a/b.git/'",
    ],
)
def test_missing_permission_is_a_refusal(error: str) -> None:
    result = push_result(128, "", error, REF)
    assert result.status is PushStatus.REFUSED
    assert "write access" in result.hint


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ("", "fatal: the remote end hung up unexpectedly"),
        ("", "fatal: unable to access 'https://x/': Could not resolve host: x"),
        ("", "error: RPC failed; curl 56 GnuTLS recv error\nfatal: early EOF"),
        (said("!", "[remote failure] (remote failed to report status)"), ""),
        ("To x\nDone\n", ""),
    ],
)
def test_a_connection_that_broke_leaves_it_open(out: str, error: str) -> None:
    assert push_result(0 if out.startswith("To x\nDone") else 1, out, error, REF).status is PushStatus.UNKNOWN


def test_the_line_of_another_branch_does_not_count() -> None:
    assert push_result(1, said(" ", "a..b"), "", "refs/heads/state").status is PushStatus.UNKNOWN


def test_passwords_are_in_no_message() -> None:
    error = "fatal: unable to access 'https://bot:s3cret@x/': 500"
    assert "s3cret" not in redacted("https://bot:p@s3cret@x/a@b")
    assert "s3cret" not in str(network_failure("https://bot:s3cret@x/", error))
    assert "s3cret" not in push_result(1, "", error, REF).detail


def test_urls_are_taken_as_git_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("https://x/y", "git@host:x/y.git", "ssh://git@host:22/x", "file:///x"):
        assert checked_url(url) == url
    assert checked_url("remote.git") == str(tmp_path / "remote.git")
    (tmp_path / "odd:name").mkdir()
    assert checked_url("odd:name") == str(tmp_path / "odd:name")


class _Denying(BaseHTTPRequestHandler):
    status = 401
    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers["X-Token"])
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Denying)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x.git"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "words"), [(401, "denied"), (403, "denied"), (404, "no such repository")])
def test_what_an_http_host_answers_is_put_into_words(
    status: int, words: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Denying, "status", status)
    monkeypatch.setattr(_Denying, "seen", [])
    mirror = Mirror.open(tmp_path / "m.git", host, ((f"http.{host}.extraheader", "X-Token: t0ken"),))
    with pytest.raises(HostError, match=words) as problem:
        mirror.fetch()
    assert problem.value.hint
    assert set(_Denying.seen) == {"t0ken"}  # the clone's own token goes along
    assert "t0ken" not in str(problem.value)
    sha = mirror.write_commit(CommitRequest((), None, "x", Identity("a", "b"), 0))
    expected = PushStatus.UNKNOWN if status == 404 else PushStatus.REFUSED
    assert mirror.push(sha, BRANCH, None).status is expected
    mirror.close()
