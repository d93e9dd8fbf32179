"""What each voter near the borders is worth: a model's two masks and the patches, together and alone, judged or not.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.ablation --data DIR --model NAME.rrl --output DIR

Each case is registered without a model, and guided by each that is of this atlas, then voted on in each way; several
models may be given. Writes ablation.json (Dice of each case and structure) and ablation.md: the means, and what the
refined mask adds to the coarse one. Dice is the benchmark's own measure, which agrees with the scorer.
"""

import argparse
import functools
import json
from pathlib import Path

import numpy as np
import torch
from RRLMedSAMEngine import allocator, models, pairwise, plan, threads
from RRLMedSAMEngine.atlas import Atlas
from RRLMedSAMEngine.ballot import MeanVotes
from RRLMedSAMEngine.borders import Borders
from RRLMedSAMEngine.card import Card
from RRLMedSAMEngine.devices import ladder
from RRLMedSAMEngine.image import Volume
from RRLMedSAMEngine.networks.model import Model
from RRLMedSAMEngine.progress import Progress
from RRLMedSAMEngine.protocol import EFFORTS
from RRLMedSAMEngine.transfer import Transfer

from .datasets import Dataset

SHARES = (0.5, 0.7, 0.9, 1.0)  # a mask's weight
COARSE, REFINED = "coarse mask", "refined mask"
REGISTERED, ALONE = "registered labels", "without the model"


def overlaps(truth, found, groups) -> dict:
    """Dice of each group, name -> label values, that is in either of both maps (k, j, i)."""
    size = 1 + max(truth.max(), found.max(), *(v for values in groups.values() for v in values))
    number = np.zeros(size, np.uint8)
    for n, values in enumerate(groups.values(), start=1):
        number[values] = n
    a, b = number[truth.ravel()], number[found.ravel()]
    sizes = sum(np.bincount(x, minlength=len(groups) + 1) for x in (a, b))
    both = np.bincount(a[a == b], minlength=len(groups) + 1)
    return {name: 2 * both[n] / sizes[n] for n, name in enumerate(groups, start=1) if sizes[n]}


def voted(maps, ballots):
    """The labels before they are judged."""
    result = [m.copy() for m in maps]
    for labels, ballot in zip(result, ballots):
        best = ballot.shares.argmax(axis=0)[None]
        labels.reshape(-1)[ballot.where] = np.take_along_axis(ballot.candidates, best, 0)[0]
    return result


class Vote:
    """A registered target, its labels, and who may vote on them. ``model``: whose features guide the registration, or
    None."""

    def __init__(self, atlas: Atlas, target: Volume, effort: str, step, model=None):
        self.clock, self.geometry = Progress(lambda *_: None, lambda: False), target.geometry

        def registered(one):
            features = functools.partial(one.features, model, step.device) if model else None
            found = pairwise.register(one, target, effort, step, self.clock, features=features)
            return Transfer.registered(one.labels, found), found

        chosen, check = plan.EFFORTS[effort], self.clock.check
        transfer, self.found = registered(atlas)
        twin = atlas.mirrored(check) if chosen.mirrored else None
        second = twin and registered(twin)
        self.maps, self._certainty = transfer.warped(self.geometry, check)
        self.borders = Borders(transfer, self.found, self.geometry, check, patches=chosen.patches, second=second)
        self.beginnings = self.borders.beginnings(self.maps)
        self.ballots = self.borders.ballots(self.maps)

    def decided(self, name, ballots):
        """The name, the labels before the judgement and after it."""
        judged = [m.copy() for m in self.maps]
        self.borders.judge(judged, self._certainty, ballots)
        return name, voted(self.maps, ballots)[0], judged[0]


def ways(atlas: Atlas, known: dict[str, tuple[Model, Card]], target: Volume, effort: str, step):
    """(who votes, labels before the judgement, labels after it) for each way of voting on ``target``.

    ``known``: models with their cards, by name.
    """
    alone = Vote(atlas, target, effort, step)
    yield REGISTERED, alone.beginnings[0][0], None
    yield alone.decided(ALONE, alone.ballots)
    for name, (model, card) in known.items():
        learned, vote, rounds, prompts = atlas.learned(model, step.device), alone, 1, atlas.prompts(card)
        is_own = atlas.owns(card)
        if is_own:
            rounds = plan.EFFORTS[effort].rounds
        if is_own and atlas.is_guided():
            vote = Vote(atlas, target, effort, step, model)
            yield f"{name}, {REGISTERED}", vote.beginnings[0][0], None
        wide = vote.borders.widened(vote.maps, vote.ballots)

        def asked(beginnings, learned=learned, vote=vote, prompts=prompts):
            return [
                learned.masks(vote.found, labels, vote.geometry, prompts, vote.clock.check) for labels in beginnings
            ]

        first = asked(vote.beginnings)
        for kind, called in (("coarse", COARSE), ("refined", REFINED)):
            for share in SHARES:
                masks = first
                for left in reversed(range(rounds)):
                    votes = [MeanVotes([getattr(m, kind) for m in of_layer]) for of_layer in zip(*masks)]
                    joined = vote.borders.joined(wide, votes, share)
                    row = vote.decided(f"{name}, {called}, {share}", joined)
                    if left:
                        masks = asked([[row[2]]])
                yield row


def table(rows) -> str:
    lines = ["| who votes near the borders | before the intensities judge | after |", "|---|---|---|"]
    for name in dict.fromkeys(row["voters"] for row in rows):
        mine = [row for row in rows if row["voters"] == name]
        means = [
            np.mean([np.mean(list(row[when].values())) for row in mine]) if mine[0][when] else None
            for when in ("before", "after")
        ]
        lines.append(f"| {name} | " + " | ".join("" if m is None else f"{m:.4f}" for m in means) + " |")
    return "\n".join(lines) + "\n"


def by_structure(rows, voters: str, when: str) -> dict:
    """Structure -> mean Dice of the cases."""
    mine = [row[when] for row in rows if row["voters"] == voters]
    return {
        name: np.mean([dice[name] for dice in mine if name in dice]) for name in sorted({n for d in mine for n in d})
    }


def gains(rows) -> str:
    """What the auto-prompting decoder adds to the coarse mask, to the structures on average and to the worst one."""
    lines = [
        "| the refined mask's gain | before | worst structure | after | worst structure |",
        "|---|---|---|---|---|",
    ]
    for voters in dict.fromkeys(row["voters"] for row in rows if REFINED in row["voters"]):
        cells = []
        for when in ("before", "after"):
            coarse = by_structure(rows, voters.replace(REFINED, COARSE), when)
            gain = {name: dice - coarse[name] for name, dice in by_structure(rows, voters, when).items()}
            worst = min(gain, key=gain.get)
            cells.append(f"{np.mean(list(gain.values())):+.4f} | {gain[worst]:+.4f} ({worst})")
        lines.append(f"| {voters} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--model", required=True, action="append", metavar="NAME|PATH", help="may be repeated")
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--cases", type=int, metavar="N", help="only the first N")
    options = parser.parse_args()
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    allocator.keep_freed_memory()
    torch.manual_seed(0)
    data, step = Dataset(options.data), ladder("cpu")[0]
    atlas = data.make_atlas()
    known = {}
    for name in options.model:
        known[Path(name).stem] = models.load(name, options.effort, atlas.volume, atlas.labels, print)
    groups, rows = data.content["groups"], []
    for case in data.validation[: options.cases]:
        target, truth = case.read()
        with threads.suited(target.array.size):
            for name, before, after in ways(atlas, known, target, options.effort, step):
                dice = [m if m is None else overlaps(truth, m, groups) for m in (before, after)]
                rows.append({"case": case.name, "voters": name, "before": dice[0], "after": dice[1]})
        (output / "ablation.json").write_text(json.dumps({"effort": options.effort, "rows": rows}, indent=1))
        (output / "ablation.md").write_text(table(rows) + "\n" + gains(rows))
        print(case.name, flush=True)
    print(table(rows) + "\n" + gains(rows))


if __name__ == "__main__":
    main()
