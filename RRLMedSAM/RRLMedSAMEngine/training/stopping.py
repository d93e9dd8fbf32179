"""When to stop early: by the atlas's own labels alone.

Atlas images, deformed as registration found scans to be, carry exact labels. Once the masks of some that are drawn
beforehand do not get better any more, further steps only teach the errors of the pseudo labels.
"""

import torch

from .. import inference
from ..frame import FramedAtlas
from ..networks.model import Model
from . import losses
from .samples import Sampler

SAMPLES = 4
EVERY = 0.05  # of the training
PATIENCE = 6  # looks without a better one
SEED = 20_504  # of the samples: the same however the training is seeded


class Stopping:
    """``reached``: it is time. `look` is called after each step."""

    def __init__(self, atlas: FramedAtlas, cases, patch):
        sampler = Sampler(atlas, cases, patch, torch.Generator().manual_seed(SEED), mixed=1.0, scan_share=0.0)
        self._atlas, self._samples = atlas, [sampler.draw() for _ in range(SAMPLES)]
        self.history: list[float] = []
        self._next = EVERY

    @property
    def reached(self) -> bool:
        best = min(range(len(self.history)), key=self.history.__getitem__, default=0)
        return len(self.history) - best > PATIENCE

    def look(self, model: Model, share_done: float) -> None:
        """Scores the model where a twentieth of the training has passed since the last look."""
        if share_done < self._next:
            return
        self._next = share_done + EVERY
        atlas = self._atlas
        described = inference.describe(model, atlas.image, atlas.labels, atlas.count)
        with torch.no_grad():
            scores = [
                float(losses.mask_loss(model(s.image, described, s.prior).refined, s.truth, s.weight, atlas.count))
                for s in self._samples
            ]
        self.history.append(sum(scores) / len(scores))

    def state(self) -> dict:
        return {"history": self.history, "next": self._next}

    def restore(self, state: dict) -> None:
        self.history, self._next = list(state["history"]), state["next"]
