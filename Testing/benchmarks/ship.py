"""Makes an adapted model one that comes with the extension: its name, where it is from and what it measured.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.ship mine.rrl --name brain-t1 --summary TEXT
        --source TEXT --terms TEXT --results out/results.json

Of several models, which must have been trained from the same one, the mean of the weights is taken (Wortsman et al.,
ICML 2022), with the card of the first. ``--source`` and ``--results`` may be repeated; the results are the benchmark's,
with the instant form beside the model under its new name or that of its file. Without results the card has no figures:
ship it so, measure it under its name, and ship it again.
Writes Resources/Models/NAME.rrl anew.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import models, package


def figures(results: list[Path], names: set[str]) -> dict:
    """By effort and data set: of how many cases, and the mean Dice of the model (one of ``names``) and of the instant
    form. Raises ValueError where a file of results lacks one of the two."""
    found = {}
    for path in results:
        content = json.loads(path.read_text())
        dice = [[row["dice"] for row in content["rows"] if row["method"] in of] for of in (names, {models.INSTANT})]
        if not all(dice):
            raise ValueError(f"{path} has no results of the instant form beside one of {', '.join(sorted(names))}.")
        model, instant = (round(float(np.mean(values)), 5) for values in dice)
        of_data = found.setdefault(content["effort"], {})
        of_data[content["data"]] = {"cases": len(dice[0]), "dice": model, "dice_instant": instant}
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="+")
    parser.add_argument("--name", required=True)
    parser.add_argument("--summary", required=True)
    parser.add_argument("--source", required=True, action="append")
    parser.add_argument("--terms", required=True)
    parser.add_argument("--results", default=[], action="append", type=Path)
    options = parser.parse_args(arguments)
    cards, weights = zip(*map(package.read, options.model))
    names = {options.name, *(path.stem for path in options.model)}
    training = {**cards[0].training, "mean_of": len(cards), "steps": sum(card.training["steps"] for card in cards)}
    card = dataclasses.replace(
        cards[0], name=options.name, summary=options.summary, sources=options.source, terms=options.terms,
        training=training, figures=figures(options.results, names),
    )  # fmt: skip
    models.FOLDER.mkdir(exist_ok=True)
    mean = {name: sum(each[name] for each in weights) / len(weights) for name in weights[0]}
    package.write(models.FOLDER / (options.name + models.ENDING), mean, card)
    print(json.dumps(card.figures, indent=1))


if __name__ == "__main__":
    main()
