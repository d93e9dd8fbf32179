"""Makes an adapted model one that comes with the extension: its name, where it is from and what it measured.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.ship mine.rrl --name brain-t1 --summary TEXT
        --source TEXT --terms TEXT --results out/results.json

``--source`` and ``--results`` may be repeated; the results are the benchmark's, with the instant form beside the model.
Writes Resources/Models/NAME.rrl anew, with the weights as they are.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import models, package


def figures(results: list[Path]) -> dict:
    """Mean Dice of each method, by effort and method, and of how many cases."""
    found = {}
    for path in results:
        content = json.loads(path.read_text())
        rows = content["rows"]
        methods = dict.fromkeys(row["method"] for row in rows)
        found[content["effort"]] = {
            "cases": len({row["case"] for row in rows}),
            **{
                "dice_" + name: round(float(np.mean([r["dice"] for r in rows if r["method"] == name])), 4)
                for name in methods
            },
        }
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--summary", required=True)
    parser.add_argument("--source", required=True, action="append")
    parser.add_argument("--terms", required=True)
    parser.add_argument("--results", required=True, action="append", type=Path)
    options = parser.parse_args(arguments)
    card, weights = package.read(options.model)
    card = dataclasses.replace(
        card, name=options.name, summary=options.summary, sources=options.source, terms=options.terms,
        figures=figures(options.results),
    )  # fmt: skip
    models.FOLDER.mkdir(exist_ok=True)
    package.write(models.FOLDER / (options.name + models.ENDING), weights, card)
    print(json.dumps(card.figures, indent=1))


if __name__ == "__main__":
    main()
