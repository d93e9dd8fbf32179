"""Trains a general model on images synthesised from label maps and random shapes: for any anatomy and modality.

  python -m RRLMedSAMEngine.training.general --maps FOLDER --output general.rrl --minutes M
      [--teacher NAME|PATH] [--model PATH [--decoders-alone]] [--seed N] [--device ...]

No scan is used, so that the weights carry no terms of data but those of the label maps. A teacher looks at slices of
such images. A checkpoint is kept beside the output; the same command goes on with it.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from .. import allocator, devices, models, package
from ..card import Card
from ..networks import teachers
from ..networks.model import Model
from ..networks.sizes import Sizes
from ..protocol import UNFINISHED
from . import cases, checkpoint, modelcard
from .distillation import Distillation, choose_views
from .featurecache import FeatureCache
from .synthesis import Synthesiser
from .trainer import Settings, Trainer

CHECKPOINT_SECONDS = 60.0
SHOWN, VIEWS = 24, 240  # images that a teacher sees, and slices of them
TEACHING = 0.15  # share of the time in which it looks at them


def train(
    maps: list[Path], output: Path, seconds: float, seed: int, device: torch.device, say, *, teacher=None, base=None,
    decoders_alone=False,
) -> Card:  # fmt: skip
    """Writes the package and returns its card; ``say(text)`` is called now and then. Raises EngineError.

    ``teacher``: as `teachers.open_teacher` takes it. ``base``: the package to begin with; with
    ``decoders_alone`` its encoders stay as they are.
    """
    torch.manual_seed(seed)
    source = Synthesiser(maps, torch.Generator().manual_seed(seed), device)
    folder = output.with_name(output.name + UNFINISHED)
    folder.mkdir(mode=0o700, exist_ok=True)
    begun = base and models.read(base)
    teacher = teacher and teachers.open_teacher(teacher, device)
    model = (begun[0].train() if begun else Model(Sizes())).to(device)
    distillation = teacher and _distillation(teacher, model.sizes, maps, folder, TEACHING * seconds, seed, device)
    # A general model is prompted once: `Atlas.prompts`.
    trainer = Trainer(model, source, Settings(decoders_alone=decoders_alone, prompts=1), distillation)
    state = checkpoint.load(folder)
    done = 0.0
    if state is not None:
        trainer.restore(state["trainer"])
        done = state["done"]
    last = saved = time.monotonic()
    while done < seconds:
        losses = trainer.step(done / seconds)
        now = time.monotonic()
        done, last = done + now - last, now
        if now - saved > CHECKPOINT_SECONDS:
            checkpoint.save(folder, {"trainer": trainer.state(), "done": done})
            saved = now
            say(f"{done:.0f} s, step {trainer.steps}: " + ", ".join(f"{k} {v:.3f}" for k, v in losses.items()))
    card = modelcard.make(
        output.stem,
        trainer.model,
        "General: trained on synthetic images, for any anatomy and modality.",
        {
            "label_maps": len(maps),
            "steps": trainer.steps,
            "seconds": round(done),
            "base": begun[1].training if begun else "none",
            "teacher": teacher.identity if teacher else "none",
            "decoders_alone": decoders_alone,
        },
        seed,
        sources=["Label maps given to the training, random shapes."],
        terms="Those of the label maps.",
    )
    card = package.write(output, trainer.average.state_dict(), card)
    checkpoint.remove(folder)
    return card


def _distillation(teacher, sizes, maps, folder: Path, seconds, seed, device) -> Distillation:
    """Of what ``teacher`` sees in such images as the training's; they and its features are kept in ``folder``."""
    random = torch.Generator().manual_seed(seed)
    paths = [folder / f"{number}{cases.ENDING}" for number in range(SHOWN)]
    source = Synthesiser(maps, random)
    for path in paths:
        cases.save(cases.unlabelled(source.draw().image[0, 0]), path)
    distillation = Distillation(sizes, FeatureCache(teacher, folder), random)
    distillation.projection.to(device)
    distillation.prepare(choose_views(paths, VIEWS, random), seconds, lambda: None)
    return distillation


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", required=True, type=Path, help="folder of label maps (.nii.gz)")
    parser.add_argument("--output", required=True, type=Path, help="the package to be written (.rrl)")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--teacher", help="litemedsam, or a checkpoint of SAM")
    parser.add_argument("--model", type=Path, help="package to begin with")
    parser.add_argument("--decoders-alone", action="store_true", help="train its decoders, nothing else")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    if options.decoders_alone and (options.model is None or options.teacher):
        parser.error("--decoders-alone needs --model, and no teacher")
    allocator.keep_freed_memory()
    device = devices.ladder(options.device)[0].device
    maps = sorted(options.maps.glob("*.nii.gz"))
    if not maps:
        parser.error("--maps holds no .nii.gz file")
    card = train(
        maps, options.output, 60 * options.minutes, options.seed, device, lambda t: print(t, file=sys.stderr),
        teacher=options.teacher, base=options.model, decoders_alone=options.decoders_alone,
    )  # fmt: skip
    print(f"{card.name}: {card.training}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
