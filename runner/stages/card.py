"""`card`: what is known of a model and of its data, written down for people, with where each figure comes from."""

from __future__ import annotations

from pathlib import Path

from runner.errors import InputError
from runner.specs.builtin_stages import cards_of
from runner.stages.cards.data_card import data_card
from runner.stages.cards.material import read_material
from runner.stages.cards.model_card import model_card
from runner.stages.cards.writing import write_card
from runner.stages.program import Call, program


def run(call: Call) -> None:
    """Write the cards of the model; raises InputError for what cannot be read, or an output of no known kind."""
    problem = next(cards_of([str(out) for out in call.outs], has_data="data" in call.given), None)
    if problem is not None:
        raise InputError(*problem[1:])
    material = read_material(call)
    cards = [model_card(material)] + ([data_card(material, material.profile)] if material.profile is not None else [])
    count: dict[str, int] = {}
    for out in call.outs:
        ending = Path(out).suffix.lower()
        write_card(cards[count.get(ending, 0)], material.sources, out)
        count[ending] = count.get(ending, 0) + 1


main = program("card", run)

if __name__ == "__main__":
    raise SystemExit(main())
