"""The Project of a commit: what it decides about the reading of everything else, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.core import units
from runner.core.nouns import Project
from runner.errors import InputError
from runner.git.command import checked_branch
from runner.patterns import regex
from runner.specs import documents, places
from runner.specs.documents import Document
from runner.specs.layout import PROJECT_FILE, Layout
from runner.specs.left_out import Faults
from runner.specs.places import Locator
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.core.purpose import Purpose

_OWN_PREFIX, _STATE = "runner/", "runner/state"
_SHELL_NAME = regex(r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")
_DEFAULT_EVERY_SECONDS = 60.0
_OF_PURPOSE = frozenset(["objective", "kpis", "owners"])


@dataclass(frozen=True, slots=True)
class ProjectReading:
    """The Project document, if there is one, and how far it can be believed."""

    document: Document | None
    might_be_elsewhere: bool
    """Whether there is none, and a part of `runner.yaml` that cannot be read might be it."""
    layout: Layout
    faults: Faults

    @classmethod
    def of(cls, root_documents: list[Document], layout: Layout, faults: Faults) -> ProjectReading:
        """The first Project among the documents of `runner.yaml`."""
        document = next((document for document in root_documents if document.kind == "Project"), None)
        elsewhere = document is None and faults.might_hold("Project", "Project")
        return cls(document, elsewhere, layout, faults)

    def is_known(self, field: str) -> bool:
        """Whether it is known what the Project says of a field, or that it says nothing."""
        if self.document is None:
            return not self.might_be_elsewhere
        return field not in self.document.in_doubt

    @property
    def globs(self) -> list[Any] | None:
        """The globs of `specs`, None where there are none."""
        globs = self.document.spec.get("specs") if self.document else None
        return list(globs) if isinstance(globs, list) else None

    def told(self) -> Mapping[str, Any]:
        """What it says of its purpose, as a card tells it."""
        if self.document is None or not _OF_PURPOSE & self.document.spec.keys():
            return {}
        from runner.specs.purposes import told_of  # imported late: start-up, and few cards ask for it

        return told_of(self.document.spec)

    @property
    def records_on_branch(self) -> bool:
        """Whether results may be recorded on the watched branch, so that people's commits hold them too."""
        record = self.document.spec.get("record") if self.document else None
        return isinstance(record, dict) and "branch" in record

    @property
    def locator(self) -> Locator | None:
        """Finds places in the document."""
        return documents.locator_of(self.document, self.layout) if self.document else None

    def dvc_root(self) -> str | None:
        """The DVC root; None where it is not known, which is a finding."""
        roots = self.layout.dvc_roots
        if not self.is_known("dvcRoot"):
            return self.layout.dvc_root if len(roots) <= 1 else None
        stated = self.document.spec.get("dvcRoot") if self.document else None
        if stated is not None:
            root = places.joined(".", stated)
            if root in roots:
                return root
            hint = f"there is one in: {', '.join(roots)}" if roots else "run `dvc init --subdir` there"
            self._add(("dvcRoot",), f"`{stated}` holds no DVC project", hint)
            return None
        if roots and not self.layout.has_dvc:
            message = f"several DVC projects and none at the root: {', '.join(roots)}"
            hint = f"choose one: a Project with `spec: {{dvcRoot: {roots[0]}}}`"
            self.faults.add(places.file_finding(PROJECT_FILE, message, hint))
            return None
        return self.layout.dvc_root

    def project(self) -> Project:
        """The settings, with defaults for what is not stated or wrong."""
        if self.document is None:
            return Project()
        spec = self.document.spec
        record, trust = spec.get("record") or {}, spec.get("trust") or {}
        return Project(
            name=self.document.name,
            branch=self._branch_name(("branch",), spec.get("branch")),
            record_every_seconds=self._every_seconds(record.get("every")),
            record_branch=self._branch_name(("record", "branch"), record.get("branch")),
            accept_dvc_lock=trust.get("dvcLock", "accept") == "accept",
            reuse_proposed=trust.get("reuse", "members") == "members",
            accept_nondeterministic=trust.get("nondeterministic", "accept") == "accept",
            strict=spec.get("strict", False),
            shell=self._shell(spec.get("shell")),
            protect=spec.get("protect", False),
            purpose=self._purpose(),
            declined=tuple((spec.get("doctor") or {}).get("skip", {}).items()),
            budget_seconds=self._budget_seconds((spec.get("budget") or {}).get("time")),
            allow_removal=(spec.get("release") or {}).get("allowRemoval", False),
            release_tags=(spec.get("release") or {}).get("tags", True),
        )

    def _purpose(self) -> Purpose | None:
        locator = self.locator
        if self.document is None or locator is None or not _OF_PURPOSE & self.document.spec.keys():
            return None
        from runner.specs.purposes import read_purpose  # imported late: start-up, and few say so

        return read_purpose(self.document.spec, locator, self.faults)

    def _branch_name(self, path: tuple[str, ...], name: str | None) -> str | None:
        if name is None:
            return None
        try:
            checked_branch(name)
        except InputError as error:
            self._add(path, error.message, error.hint)
            return None
        if name.startswith(_OWN_PREFIX) and (name != _STATE or path == ("branch",)):
            self._add(path, f"branches below `{_OWN_PREFIX}` belong to the runner", "choose another name")
        return name

    def _every_seconds(self, value: Any) -> float:
        seconds = _DEFAULT_EVERY_SECONDS if value is None else units.seconds_of(value)
        if seconds is None or seconds <= 0:
            self._add(
                ("record", "every"),
                f"`every: {str(value)[:60]}` is not a time between two publications",
                "write a duration above zero, such as `60s`, or a number of seconds",
            )
            return _DEFAULT_EVERY_SECONDS
        return seconds

    def _budget_seconds(self, value: Any) -> float | None:
        seconds = units.seconds_of(value)
        if value is not None and not seconds:
            message, hint = f"`time: {str(value)[:60]}` is no length of time", "write one above zero, such as `2h`"
            self._add(("budget", "time"), message, hint)
        return seconds or None

    def _shell(self, value: str | None) -> str | None:
        """A shell is any program that takes `-c COMMAND`: by its name on the `PATH`, or by an absolute path."""
        is_path = value is not None and value.startswith("/") and value.isprintable() and not value.endswith("/")
        if value is None or is_path or _SHELL_NAME.match(value):
            return value
        hint = "name one program, such as `bash` or `/bin/sh`, without arguments"
        self._add(("shell",), f"the shell `{value[:60]}` is neither a name nor an absolute path", hint)
        return None

    def _add(self, path: tuple[str, ...], message: str, hint: str) -> None:
        locator = self.locator
        assert locator is not None  # only a document that is there says something wrong
        self.faults.add(locator.finding(path, message, hint))
