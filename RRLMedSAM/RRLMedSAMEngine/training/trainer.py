"""Joint training of segmentation and registration with mutual-EMA (arXiv 2504.20501).

After each step the general encoder moves towards the medical one and the medical one towards the general one; both
are supervised by the pseudo labels. An average of the weights over the steps is what is kept. Where the encoders are
those of a trained model the decoders may learn alone, from what they see.
"""

import copy
import dataclasses

import torch

from ..frame import FramedAtlas
from ..inference import describe
from ..networks.model import PROMPTS, Model
from . import losses, networklabels

MUTUAL = 0.99  # alpha of the mutual-EMA
AVERAGE = 0.99  # of the weights that are kept
RATE, DECAY = 2e-3, 1e-4
WARM_UP = 30  # steps
DESCRIBE_EVERY = 25  # steps between two looks at the atlas's structures
CLIP = 1.0
PAIR_EVERY = 8  # steps between two of the registration network, which take as long as three others on a brain
WEIGHTS = {"registration": 0.3}  # in the shared encoder its gradients are larger than the masks'


@dataclasses.dataclass(frozen=True)
class Settings:
    """``mutual``: mutual-EMA on. ``stage_two``: share of the training after which it is, where a teacher is distilled
    before. ``own_from``: share of the training after which the average model's own masks join the pseudo labels.
    ``own``: their weight in the end. ``optimised``: pseudo labels are those of instance optimisation, not the
    registration network's. ``decoders_alone``: all else stays as it is; pseudo labels must be there.
    ``prompts``: as `Model` takes them, that many or fewer by chance."""

    mutual: bool = True
    stage_two: float = 0.3
    own_from: float = 0.4
    own: float = 0.5
    optimised: bool = True
    decoders_alone: bool = False
    prompts: int = PROMPTS


class Trainer:
    """Holds all that changes: `state` and `restore` make a checkpoint of it.

    ``distillation``: of a teacher into the general encoder, before mutual-EMA begins; or None.
    ``source``: where samples come from, a `Sampler` or a `Synthesiser`: ``draw()``, ``pair()``, ``random``.
    """

    def __init__(self, model: Model, source, settings: Settings, distillation=None):
        self.model, self.source, self.settings = model, source, settings
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.alone = settings.decoders_alone
        if self.alone:
            model.requires_grad_(False)
            for decoder in (model.coarse, model.refined):
                decoder.requires_grad_(True)
        self.distillation = distillation
        parts = [model] if distillation is None else [model, distillation.projection]
        self.optimizer = torch.optim.AdamW([p for m in parts for p in m.parameters()], RATE, weight_decay=DECAY)
        self.steps = 0
        self.labelled = settings.optimised  # the cases are
        self._seen = self._atlas = self._own_atlas = None

    def step(self, share_done: float) -> dict:
        """One sample; ``share_done`` of the training, 0..1, decides rate and targets. Returns the losses.

        On a graphics card in mixed precision.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1, (self.steps + 1) / WARM_UP) * (1 - min(share_done, 0.999)) ** 0.9
        registers_only = not self.labelled and share_done < networklabels.ALONE
        if not self.labelled and not registers_only:
            networklabels.relabel(self.source.cases, self.source.atlas, self.average)
            self.labelled = True
        sample = self.source.draw()
        if sample.atlas is not self._seen or (self.steps % DESCRIBE_EVERY == 0 and not self.alone):
            self._look_at(sample.atlas)
        first_stage = self.distillation is not None and share_done < self.settings.stage_two
        with torch.autocast(sample.image.device.type, torch.bfloat16, enabled=sample.image.device.type == "cuda"):
            parts = {} if registers_only else self._mask_losses(sample, share_done)
            if registers_only or (self.steps % PAIR_EVERY == 0 and not self.alone):
                parts["registration"] = self._registration_loss()
            if first_stage:
                parts["distillation"] = self.distillation.loss(self.model.general)
        self.optimizer.zero_grad(set_to_none=True)
        sum(WEIGHTS.get(name, 1.0) * part for name, part in parts.items()).backward()
        # Each part by itself: a bad registration shall not silence the masks.
        norms = [torch.nn.utils.clip_grad_norm_(part.parameters(), CLIP) for part in self.model.children()]
        self.steps += 1
        # A step that is not finite would spoil all weights for ever. The norms are not stacked: that of a part without
        # gradients, as the registration network is in most steps, lies on the processor.
        if all(bool(norm.isfinite()) for norm in norms):
            self.optimizer.step()
            if self.settings.mutual and not first_stage and not self.alone:
                approach(self.model.general, self.model.medical, MUTUAL)
            follow(self.average, self.model, min(AVERAGE, 1 - 1 / (self.steps + 1)))
        return {name: float(value.detach()) for name, value in parts.items()}

    def _mask_losses(self, sample, share_done):
        image, count, truth = sample.image, sample.atlas.count, sample.truth
        features = self.model.features(image)
        if sample.pseudo and share_done > self.settings.own_from:
            with torch.no_grad():
                seen = features if self.alone else self.average.features(image)
                own = self.average.masks(seen, image, self._own_atlas, sample.prior, self.settings.prompts)
            part = self.settings.own * min(1, (share_done - self.settings.own_from) / 0.3)
            truth = (1 - part) * truth + part * own.refined.probability
        prompts = 1 + int(torch.randint(self.settings.prompts, (), generator=self.source.random))
        masks = self.model.masks(features, image, self._atlas, sample.prior, prompts)
        return {
            "coarse": losses.mask_loss(masks.coarse, truth, sample.weight, count),
            "refined": losses.mask_loss(masks.refined, truth, sample.weight, count),
        }

    def _registration_loss(self):
        pair = self.source.pair()
        velocity = self.model.velocity(pair.target, pair.atlas).float()
        return losses.registration_loss(velocity, pair, guided=self.settings.optimised)

    def state(self) -> dict:
        """All that a later process needs to go on as if nothing had happened."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "projection": self.distillation and self.distillation.projection.state_dict(),
            "steps": self.steps,
            "labelled": self.labelled,
            "random": self.source.random.get_state(),
        }

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.distillation is not None:
            self.distillation.projection.load_state_dict(state["projection"])
        self.steps, self.labelled = state["steps"], state["labelled"]
        self.source.random.set_state(state["random"])
        self._seen = None

    def _look_at(self, a: FramedAtlas):
        self._seen = a
        self._atlas = describe(self.model, a.image, a.labels, a.count)
        self._own_atlas = self._atlas if self.alone else describe(self.average, a.image, a.labels, a.count)


@torch.no_grad()
def approach(general: torch.nn.Module, medical: torch.nn.Module, alpha: float) -> None:
    """Mutual-EMA: both move towards each other's weights of before."""
    for g, m in zip(general.parameters(), medical.parameters()):
        apart = (m - g) * (1 - alpha)
        g.add_(apart)
        m.sub_(apart)


@torch.no_grad()
def follow(average: torch.nn.Module, model: torch.nn.Module, alpha: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - alpha)
