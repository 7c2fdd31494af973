"""`runner serve --repo`: what is released of a Deployment over HTTP, replaced as releases follow each other."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.cli.console import Console
from runner.cli.serve import grpc_address, key_of, line_of, listening_on, say_of, url_of
from runner.cli.serve_settings import with_options
from runner.cli.stopping import stopping
from runner.delivery.child import Child, Followed
from runner.delivery.puller import Puller, Source
from runner.delivery.store import Store
from runner.errors import ExitCode, HostError, InputError
from runner.git.network import checked_url, redacted
from runner.observe import refs
from runner.serve.settings import Served, Settings, Vacancy, settings_from
from runner.serve.supervisor import Event, Supervisor
from runner.wiring.home import home_folder
from runner.wiring.trust_file import trust_file

_LOOKER = "runner.wiring.delivering"
_LOST_SECONDS = 10.0


def serve_repo(arguments: argparse.Namespace, console: Console) -> int:
    """Follow a repository until SIGTERM or SIGINT."""
    folder = Path(arguments.folder or ".").absolute()
    followed = _followed(arguments, folder)
    shown = Source(redacted(followed.url), followed.branches[0], followed.deployment, followed.environment)
    store = Store(Path(followed.home))
    key, lock = key_of(arguments.log_key), threading.Lock()
    with stopping() as (stop, _), listening_on(arguments.listen) as listening:
        url = url_of(listening)

        def say(event: Mapping[str, Any], line: str) -> None:
            with lock:
                say_of(console, {"schema": 1, "url": url, **event}, line)

        def happened(event: Event) -> None:
            if event.get("version") != "":  # else it is the worker that says that there is no model
                say(event, line_of(event, url))
            puller.event(event)

        supervisor = Supervisor(listening, happened, key=key, environ=os.environ, grpc=grpc_address(arguments.grpc))
        puller = Puller(
            Child(_LOOKER, followed, os.environ),
            _Server(supervisor, lambda answer: _settings(arguments, answer, url), shown),
            store,
            shown,
            lambda event: say(event, _news(event, url)),
            every_seconds=arguments.every,
        )
        trust = "no trust file: whoever may push there decides what is served"
        trust = trust if followed.trust is None else f"releases have to be signed as {followed.trust} says"
        say({"event": "following", "reason": trust}, f"following {shown.branch} of {shown.repo}; {trust}")
        following = threading.Thread(target=puller.run, args=(stop,), name="releases", daemon=True)
        following.start()
        try:
            supervisor.run(stop)
        finally:
            stop.set()
            following.join(_LOST_SECONDS)
    if puller.failure is not None:
        raise puller.failure
    return ExitCode.DONE


class _Server:
    """The supervisor, as who follows releases needs it."""

    def __init__(
        self, supervisor: Supervisor, settings: Callable[[Mapping[str, Any]], Settings], source: Source
    ) -> None:
        self._supervisor = supervisor
        self._settings = settings
        self._source = source
        self.tell, self.stop = supervisor.tell, supervisor.stop

    def serve(self, answer: Mapping[str, Any]) -> None:
        """See Server."""
        self._supervisor.swap(self._settings(answer))

    def vacate(self, state: str, why: str, status: int) -> None:
        """See Server."""
        about = {"deployment": self._source.deployment, "environment": self._source.environment}
        served = Served(folder="", name=self._source.deployment or "", version="", about=about)
        self._supervisor.swap(Settings(served, vacancy=Vacancy(state, why, status)))


def _settings(arguments: argparse.Namespace, answer: Mapping[str, Any], url: str) -> Settings:
    """How a release is served; raises InputError for settings that a server cannot have."""
    release = answer["release"]
    about = {
        "deployment": release["deployment"],
        "environment": release["environment"],
        "version": release["version"],
        "record": release["record"],
        "digest": release["model"]["sha256"],
        "manifest": release["model"]["manifest"],
        "verified": answer["verified"],
    }
    served = Served(
        folder=answer["folder"],
        name=arguments.name or release["deployment"],
        version=str(release["version"]),
        digest=release["model"]["manifest"],
        url=url,
        about=about,
    )
    place = f"{release['deployment']} version {release['version']}: serving"
    return with_options(settings_from(release["serving"], served, place), arguments)


def _followed(arguments: argparse.Namespace, folder: Path) -> Followed:
    """What is followed; raises InputError or HostError."""
    for option in ("model_version", "digest", "allow_format"):
        if getattr(arguments, option) not in (None, "1", []):
            raise InputError(
                f"--{option.replace('_', '-')} does not go with --repo",
                "the release and the spec of the Deployment say it",
            )
    if arguments.accept_state is not None and not re.fullmatch(r"[0-9a-f]{7,64}|none", arguments.accept_state):
        raise InputError(
            f"{arguments.accept_state!r} is not the name of a commit", "say at least its first seven digits"
        )
    place = folder / arguments.repo
    url = checked_url(str(place.absolute()) if place.exists() else arguments.repo)
    branch = arguments.branch
    branches = (refs.STATE,) if branch is None else (f"{refs.STATE_OF}/{branch}", branch)
    trust = trust_file(folder, os.environ, arguments.trust)
    if trust is not None and not trust.is_file():
        raise InputError(f"{trust}: there is no such file", "name the trust file; docs/audit.md shows one")
    home = home_folder(os.environ) / "serve" / _name(url, branch, arguments.deployment, arguments.environment)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "set RUNNER_HOME to a folder that can be written"
        raise HostError(f"{home}: the server's own folder cannot be made: {error.strerror}", hint) from error
    return Followed(
        url,
        branches,
        arguments.deployment,
        arguments.environment,
        str(home),
        None if trust is None else str(trust),
        arguments.accept_state,
    )


def _name(url: str, *parts: str | None) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", url.rstrip("/").removesuffix(".git").rpartition("/")[2]).strip("-")
    told = "\0".join(part or "" for part in (url, *parts))
    return f"{words[:16] or 'repository'}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _news(event: Mapping[str, Any], url: str) -> str:
    """What was found out about releases, for people."""
    reason = event.get("reason", "")
    version = f" v{event['version']}" if event.get("version") is not None else ""
    known = {
        "waiting": f"nothing is served at {url}: {reason}",
        "drained": f"nothing is served at {url} any more: {reason}",
        "failed": f"the release{version} is not served: {reason}",
        "held": f"what is released now is not followed: {reason}",
        "unreachable": f"the repository cannot be asked: {reason}",
        "reachable": "the repository can be asked again",
        "followed": "what is released is followed again",
    }
    return known.get(event["event"]) or f"{event['event']}: {reason}"
