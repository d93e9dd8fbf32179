"""Trains a general model on images synthesised from label maps and random shapes: for any anatomy and modality.

  python -m RRLMedSAMEngine.training.general --maps FOLDER --output general.rrl --minutes M [--seed N] [--device ...]

No scan is used, so that the weights carry no terms of data but those of the label maps. A checkpoint is kept beside the
output; the same command goes on with it.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from .. import allocator, devices, package
from ..card import Card
from ..networks.model import Model
from ..networks.sizes import Sizes
from . import checkpoint, modelcard
from .synthesis import Synthesiser
from .trainer import Settings, Trainer

CHECKPOINT_SECONDS = 60.0


def train(maps: list[Path], output: Path, seconds: float, seed: int, device: torch.device, say) -> Card:
    """Writes the package and returns its card; ``say(text)`` is called now and then. Raises EngineError."""
    torch.manual_seed(seed)
    source = Synthesiser(maps, torch.Generator().manual_seed(seed), device)
    trainer = Trainer(Model(Sizes()).to(device), source, Settings())
    folder = output.with_name(output.name + ".unfinished")
    folder.mkdir(mode=0o700, exist_ok=True)
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
        {"label_maps": len(maps), "steps": trainer.steps, "seconds": round(done)},
        seed,
        sources=["Label maps given to the training, random shapes."],
        terms="Those of the label maps.",
    )
    card = package.write(output, trainer.average.state_dict(), card)
    checkpoint.remove(folder)
    return card


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", required=True, type=Path, help="folder of label maps (.nii.gz)")
    parser.add_argument("--output", required=True, type=Path, help="the package to be written (.rrl)")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    allocator.keep_freed_memory()
    device = devices.ladder(options.device)[0].device
    maps = sorted(options.maps.glob("*.nii.gz"))
    card = train(maps, options.output, 60 * options.minutes, options.seed, device, lambda t: print(t, file=sys.stderr))
    print(f"{card.name}: {card.training}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
