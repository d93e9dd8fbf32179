"""Is the confidence worth something? Each structure's confidence and its true Dice, case by case.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.confidence --data DIR [--data DIR] --output DIR
        [--effort balanced] [--model instant]

Writes confidence.json and confidence.png; prints the correlation, and the share of the structures with a Dice below 0.7
that are among the fifth with the lowest confidence.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import models, pipeline
from RRLMedSAMEngine.image import Volume, read_labels, read_volume
from RRLMedSAMEngine.protocol import EFFORTS

from .datasets import Dataset

BAD = 0.7  # Dice


def measure(data, effort, model) -> list[dict]:
    """A row for each scored group of each case that has it; the atlas's structures are the groups."""
    atlas, labels = data.read_atlas()
    groups = list(data.content["groups"].values())

    def grouped(array):
        numbers = np.zeros(array.shape, np.uint8)
        for number, values in enumerate(groups, start=1):
            numbers[np.isin(array, values)] = number
        return numbers

    labels = Volume(grouped(labels.array), labels.geometry)
    rows = []
    for case in data.validation:
        result = pipeline.segment(
            atlas, [labels], read_volume(case.image), pipeline.Settings(effort, "cpu", model),
            progress=lambda *_: None, warn=lambda _: None, cancelled=lambda: False,
        )  # fmt: skip
        truth, found = grouped(read_labels(case.labels).array), result.labels[0].array
        for structure in result.report["structures"]:
            a, b = truth == structure["label"], found == structure["label"]
            if a.any():
                dice = float(2 * (a & b).sum() / (a.sum() + b.sum()))
                rows.append({"data": data.name, "case": case.name, "dice": dice, **structure})
        print(f"{data.name} {case.name}", flush=True)
    return rows


def figures(rows) -> dict:
    dice = np.array([row["dice"] for row in rows])
    confidence = np.array([row["confidence"] or 0 for row in rows]) / 100
    worst = np.argsort(confidence)[: int(np.ceil(len(rows) / 5))]
    bad = dice < BAD
    return {
        "structures": len(rows),
        "correlation": round(float(np.corrcoef(confidence, dice)[0, 1]), 3),
        "mean_difference": round(float(np.abs(confidence - dice).mean()), 3),
        "bad": int(bad.sum()),
        "bad_in_worst_fifth": round(float(bad[worst].sum() / max(bad.sum(), 1)), 3),
    }


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 5.2), layout="constrained")
    for name, marker in zip(dict.fromkeys(row["data"] for row in rows), "osd^"):
        mine = [row for row in rows if row["data"] == name]
        at = [row["confidence"] or 0 for row in mine], [row["dice"] for row in mine]
        axes.plot(*at, marker, markersize=4, alpha=0.6, label=f"{name}, {len(mine)} structures")
    axes.plot([0, 100], [0, 1], "k:", linewidth=0.8)
    axes.axhline(BAD, color="k", linewidth=0.5)
    axes.set(xlabel="confidence, %", ylabel="true Dice", xlim=(0, 100), ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, action="append", metavar="DIR")
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--model", default=models.INSTANT)
    options = parser.parse_args()
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    sets = [measure(Dataset(folder), options.effort, options.model) for folder in options.data]
    rows = [row for each in sets for row in each]
    found = {each[0]["data"]: figures(each) for each in sets} | {"all": figures(rows)}
    (output / "confidence.json").write_text(json.dumps({"figures": found, "rows": rows}, indent=1))
    plot(rows, output / "confidence.png")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
