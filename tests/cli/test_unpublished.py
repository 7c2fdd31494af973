"""Results that could not be published are kept, shown, and published by the next reconcile."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import call
from tests.cli.worlds import Team, copy_of


def test_what_waits_for_the_remote_is_said(team: Team, tmp_path: Path) -> None:
    own = copy_of(team, tmp_path)
    hook = own.remote / "hooks/pre-receive"
    own.repo.commit({"flag": "still bad\n"})
    own.repo.push()
    hook.write_text("#!/bin/sh\necho the branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    refused = call(own.path, "reconcile", "--json")
    assert (refused.code, refused.json["error"]["exitCode"]) == (4, 4)
    assert "runner/state" in refused.json["error"]["message"]
    status = call(own.path, "status")
    assert status.code == 0
    assert "1 finished run on this host is not published yet (churn:report)" in status.out
    told = call(own.path, "status", "--json").json["unpublished"]
    assert [(row["stage"], row["outcome"]) for row in told] == [("churn:report", "failed")]
    log = call(own.path, "log", "report", "--json").json
    assert (log["text"], log["record"], log["whole"]) == ("the flag says still bad\n", None, True)
    hook.unlink()
    assert call(own.path, "reconcile").code == 3
    assert call(own.path, "status", "--json").json["unpublished"] == []
    assert call(own.path, "log", "report", "--json").json["record"] == 14
