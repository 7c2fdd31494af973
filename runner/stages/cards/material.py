"""What a card is made from: every input of the stage, read and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner import artefacts
from runner.artefacts import manifest
from runner.artefacts.folder import ENVIRONMENT
from runner.errors import InputError
from runner.stages.cards.sources import Figures, Source, Sources
from runner.stages.contracts.contract import Contract, read_contract
from runner.stages.contracts.reading import as_written, is_text
from runner.stages.judging import model_of
from runner.stages.profile import profile_of
from runner.stages.program import Call
from runner.values import dataclass

TOP = 5
"""Values of a column that a data card names."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of a model and its data."""

    call: Call
    """For what people said: title, intended use and so on."""
    model: artefacts.Artefact
    of_model: Source
    format: str
    """That the model is kept in."""
    pins: tuple[str, ...]
    """The Python and the packages that it was made with, as its folder names them."""
    profile: Figures | None
    """Of the data."""
    contract: tuple[Source, Contract] | None
    validation: Figures | None
    evaluation: tuple[Figures, ...]
    fairness: tuple[Figures, ...]
    robustness: tuple[Figures, ...]
    explain: Figures | None
    plots: tuple[tuple[Source, dict[str, Any]], ...]
    """The file of each plot, and what of it is drawn."""
    hidden: frozenset[str]
    """Columns of which no value is shown."""
    sources: tuple[Source, ...]

    def said(self, name: str, default: Any = None) -> Any:
        """What people said in `with`."""
        return self.call.get(name, default)

    @property
    def title(self) -> str:
        """What the card is called."""
        return str(self.said("title", f"{Path(self.of_model.path).name}: {self.model.target}"))


def read_material(call: Call) -> Material:
    """Everything that `with` names; raises InputError where something cannot be read."""
    sources = Sources()
    folder = Path(call.given["model"])
    model = model_of(call)
    of_model = sources.of("model", call.given["model"])
    format = str(json.loads((folder / manifest.NAME).read_bytes())["format"])
    pins = (folder / ENVIRONMENT).read_text(encoding="utf-8").splitlines()
    several = {
        name: tuple(sources.figures(name, path) for path in call.get(name, ()))
        for name in ("evaluation", "fairness", "robustness")
    }
    contract = None
    if "contract" in call.given:
        contract = sources.of("contract", call.given["contract"]), read_contract(call.given["contract"])
    personal = [column.name for column in contract[1].columns if column.get("personal")] if contract else []
    hidden = frozenset([*call.get("hidden", ()), *personal])
    return Material(
        call=call,
        model=model,
        of_model=of_model,
        format=format,
        pins=tuple(pins),
        profile=_profile(sources, call.given["data"], hidden) if "data" in call.given else None,
        contract=contract,
        validation=_one(sources, call, "validation"),
        explain=_one(sources, call, "explain"),
        plots=tuple((sources.of("plot", plot["file"]), plot) for plot in call.get("curves", ())),
        hidden=hidden,
        sources=sources.all(),
        **several,
    )


def _one(sources: Sources, call: Call, name: str) -> Figures | None:
    return sources.figures(name, call.given[name]) if name in call.given else None


def _profile(sources: Sources, path: str, hidden: frozenset[str]) -> Figures:
    """The profile of the data: as the stage `profile` wrote it, or made here from the table."""
    if not path.lower().endswith(".json"):
        source = sources.of("data", path)
        table = as_written(Path(path))
        told = profile_of(table, is_text=is_text(Path(path)), bins=1, top=TOP, hidden=sorted(hidden))
        return Figures(source, told)
    found = sources.figures("profile of the data", path)
    columns = found.value.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(one, dict) and "kind" in one for one in columns.values()):
        raise InputError(f"{path}: it is no profile", "name a table, or the .json that the stage `profile` wrote")
    return found
