"""Which structures a voxel may belong to, and what its embedding says about each of them.

A mask of 140 structures is held as the few candidates of those voxels that have more than one: memory and time do not
grow with the number of structures, and no network knows how many there are.
"""

import dataclasses

import torch
import torch.nn.functional as F

NEVER = -20.0  # logit where a voxel has fewer candidates than others


@dataclasses.dataclass
class Candidates:
    """``certain``: (k, j, i) int64, the likeliest structure of each voxel to begin with, 0 .. count - 1.
    ``where``: (m,) int64, the flat indices of the voxels in doubt. ``structure``: (n, m) int64, their candidates,
    and ``logits``: (n, m), the candidates' logarithmic weights, `NEVER` where there is none.
    """

    certain: torch.Tensor
    where: torch.Tensor
    structure: torch.Tensor
    logits: torch.Tensor

    @property
    def probability(self) -> torch.Tensor:
        """(n, m), sums to 1 over the candidates."""
        return self.logits.softmax(dim=0)

    def with_logits(self, logits: torch.Tensor) -> "Candidates":
        return dataclasses.replace(self, logits=logits)

    def foremost(self, count: int) -> "Candidates":
        """With the likeliest ``count`` of each voxel's candidates alone."""
        logits, rank = self.logits.topk(min(count, len(self.logits)), dim=0)
        return dataclasses.replace(self, structure=self.structure.gather(0, rank), logits=logits)

    def judged(self, embedding: torch.Tensor, weights: torch.Tensor) -> "Candidates":
        """With the fit of each voxel's ``embedding`` (c, k, j, i) to each structure's ``weights`` (s, c) added."""
        here, weights = embedding.flatten(1)[:, self.where].t().float(), weights.float()  # (m, c), (s, c)
        # Those that are no candidates, too: only differences count, and what is common to all may be far below `NEVER`.
        return self.with_logits(
            self.logits + torch.stack([(here * F.embedding(s, weights)).sum(1) for s in self.structure])
        )

    def described(self, vectors: torch.Tensor) -> torch.Tensor:
        """The structures' ``vectors`` (s, c), averaged by probability in each voxel: (c, k, j, i)."""
        mixed, vectors = 0, vectors.float()
        for structure, probability in zip(self.structure, self.probability):
            mixed = mixed + F.embedding(structure, vectors) * probability[:, None]
        everywhere = F.embedding(self.certain.flatten(), vectors).index_copy(0, self.where, mixed)
        return everywhere.t().reshape(-1, *self.certain.shape)

    def winner(self) -> torch.Tensor:
        """The likeliest structure in each voxel: (k, j, i) int64."""
        best = self.structure.gather(0, self.logits.max(dim=0, keepdim=True).indices)[0]
        return self.certain.flatten().index_copy(0, self.where, best).view_as(self.certain)
