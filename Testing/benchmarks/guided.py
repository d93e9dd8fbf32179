"""Registration alone, without a model and guided by its features: Dice of the labels that are carried, and seconds.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.guided --data DIR --model NAME.rrl --output DIR

Each case is registered by its images, then with each number of ``--steps`` on the finest level guided, and by its
images alone with as few steps on it and on the coarsest levels. The seconds are those of resampling, alignment and
deformation; the model is loaded, and the atlas known to it, before. Writes guided.json and guided.md; Dice is the
benchmark's own measure, which agrees with the scorer.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch
from RRLMedSAMEngine import allocator, models, pairwise, plan, threads
from RRLMedSAMEngine.devices import ladder
from RRLMedSAMEngine.progress import Progress
from RRLMedSAMEngine.protocol import EFFORTS
from RRLMedSAMEngine.transfer import Transfer

from .ablation import overlaps
from .datasets import Dataset

ALONE = "images alone"


def guided_by(steps: int) -> str:
    return f"guided, {steps} steps on the finest level"


def hurried(steps: int) -> str:
    return f"images alone, {steps} steps on the finest level"


def ways(effort: plan.Effort, steps, features) -> dict:
    """What guides, and the plan, of each registration by its name."""
    found = {ALONE: (None, effort)}
    for count in steps:
        found[guided_by(count)] = features, dataclasses.replace(effort, guided_steps=count)
        few = dataclasses.replace(effort, finest_steps=count, coarse_steps=plan.COARSE_GUIDED_STEPS)
        found[hurried(count)] = None, few
    return found


def registered(atlas, target, effort, features):
    """The `Registered` pair, and its seconds of the clock."""
    clock = Progress(lambda *_: None, lambda: False)
    started = time.monotonic()
    found = pairwise.register(atlas, target, effort, ladder("cpu")[0], clock, features=features)
    return found, time.monotonic() - started


def table(rows) -> str:
    lines = ["| registration | Dice of the carried labels | seconds |", "|---|---|---|"]
    for name in dict.fromkeys(row["registration"] for row in rows):
        mine = [row for row in rows if row["registration"] == name]
        dice, seconds = (np.mean([row[key] for row in mine]) for key in ("dice", "seconds"))
        lines.append(f"| {name} | {dice:.4f} | {seconds:.1f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--model", required=True, metavar="NAME|PATH")
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--steps", type=int, action="append", metavar="N", help="may be repeated; default the effort's")
    options = parser.parse_args()
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    allocator.keep_freed_memory()
    torch.manual_seed(0)
    data, effort = Dataset(options.data), plan.EFFORTS[options.effort]
    atlas = data.make_atlas()
    loaded = models.load(options.model, options.effort, atlas.volume, atlas.labels, print)
    if loaded is None:
        parser.error("Without a model there is nothing that guides.")
    features = atlas.features(loaded[0], "cpu")
    planned, rows = ways(effort, options.steps or [effort.guided_steps], lambda: features), []
    for case in data.validation:
        target, truth = case.read()
        for name, (guide, its_plan) in planned.items():
            plan.EFFORTS[options.effort] = its_plan
            with threads.suited(target.array.size):
                found, seconds = registered(atlas, target, options.effort, guide)
                maps, _ = Transfer.registered(atlas.labels, found).warped(target.geometry, lambda: None)
            dice = np.mean(list(overlaps(truth, maps[0], data.content["groups"]).values()))
            rows.append({"case": case.name, "registration": name, "dice": float(dice), "seconds": seconds})
        (output / "guided.json").write_text(json.dumps({"effort": options.effort, "rows": rows}, indent=1))
        (output / "guided.md").write_text(table(rows))
        print(case.name, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
