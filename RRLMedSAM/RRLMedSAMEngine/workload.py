"""What a run is going to do, and what each part of it costs: so is known how much is left.

Costs are in the units of `plan.cost`, measured; those of alignment, deformation and inverse are `pairwise`'s.
"""

import dataclasses

from . import pairwise

CARRYING_COST = 4  # of the labels to the target, for each voxel of the work grid
PATCHES_COST = 7  # of the patches' votes, likewise, for each atlas
JOINING_COST = 6  # of the votes of a model and all others, likewise, for each round
TARGET_COST = 0.25  # for each voxel of the target
LOOKING_COST = 10  # for each voxel of the frame, each time that a model looks at a target


@dataclasses.dataclass(frozen=True)
class Workload:
    """``atlases``: one, or two with the mirror image. ``patches``: whether they vote. ``rounds`` of asking a model,
    which has so many ``prompts`` in each. ``target``, ``frame``: voxels of either."""

    atlases: int
    patches: bool
    rounds: int
    prompts: int
    target: int
    frame: int

    def total(self, registration: float, voxels: float) -> float:
        """``registration``: the cost of that of one atlas, on a work grid of so many ``voxels``."""
        features = self.atlases - 1  # of the second atlas, made for this target alone
        looks = self.looking * (self.rounds + features) if self.rounds else 0
        after = pairwise.INVERSE_COST * voxels + self.carrying(voxels) + self.rounds * self.joining(voxels) + looks
        return self.atlases * registration + after

    def carrying(self, voxels: float) -> float:
        """Of the labels to the target, with the votes that need no model."""
        return (CARRYING_COST + PATCHES_COST * self.atlases * self.patches) * voxels + TARGET_COST * self.target

    def joining(self, voxels: float) -> float:
        """Of all votes, a model's among them, in one round."""
        return JOINING_COST * voxels

    @property
    def looking(self) -> float:
        """Of a model, once at the target."""
        return LOOKING_COST * self.frame
