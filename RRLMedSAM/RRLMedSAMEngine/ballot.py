"""Which structures a doubtful voxel may belong to, and what share of the votes each of them has."""

import dataclasses

import numpy as np
import torch

from . import fusion
from .likelihood import LEAST_SHARE


@dataclasses.dataclass(frozen=True, eq=False)
class Ballot:
    """``where``: (n,) flat indices of the voxels, ascending. ``candidates``: (c, n) labels, ``shares``: (c, n) of the
    votes, 0 where there is no candidate."""

    where: np.ndarray
    candidates: np.ndarray
    shares: np.ndarray

    @classmethod
    def unanimous(cls, labels: np.ndarray, where: np.ndarray) -> "Ballot":
        """Each voxel has the one label that it has in ``labels`` (k, j, i)."""
        return cls(where, labels.reshape(1, -1)[:, where], np.ones((1, len(where)), np.float32))

    def extended(self, labels: np.ndarray, where: np.ndarray) -> "Ballot":
        """With the voxels ``where`` as well, of which nothing is known but ``labels``."""
        more = Ballot.unanimous(labels, np.setdiff1d(where, self.where, assume_unique=True))
        lacking = ((0, len(self.candidates) - 1), (0, 0))
        whole = np.concatenate([self.where, more.where])
        order = np.argsort(whole)
        return Ballot(
            whole[order],
            np.concatenate([self.candidates, np.pad(more.candidates, lacking)], axis=1)[:, order],
            np.concatenate([self.shares, np.pad(more.shares, lacking)], axis=1)[:, order],
        )

    def joined_by(self, labels: torch.Tensor, weights: torch.Tensor, share: float, part: slice) -> "Ballot":
        """The voxels ``part``, with other voters of weight ``share``, 0..1; the foremost of their labels becomes a
        candidate.

        The shares of both are multiplied, each to the power of its weight: who is sure counts for more than in a mean
        (Dice +0.002 on brains, none on hippocampi). ``labels``, ``weights``: (votes, n), the others'; the weights of a
        voxel sum to 1.
        """
        theirs, _ = fusion.plurality(labels, weights)
        held = torch.from_numpy(self.candidates[:, part]).to(labels)
        own = torch.from_numpy(self.shares[:, part]).to(weights)
        is_new = ~((held == theirs) & (own > 0)).any(dim=0)
        candidates = torch.cat([held, theirs[None]])
        is_one = torch.cat([own > 0, is_new[None]])
        given = torch.stack([(weights * (labels == candidate)).sum(dim=0) for candidate in candidates])
        own = torch.cat([own, torch.zeros_like(own[:1])])
        shares = is_one * own.clamp_min(LEAST_SHARE) ** (1 - share) * given.clamp_min(LEAST_SHARE) ** share
        return Ballot(self.where[part], candidates.cpu().numpy(), (shares / shares.sum(dim=0)).cpu().numpy())


class MeanVotes:
    """Several voters as one. Each of the ``votes``: as `inference.Votes`."""

    def __init__(self, votes):
        self._votes = votes

    @property
    def count(self) -> int:
        """Votes at each point."""
        return sum(votes.count for votes in self._votes)

    def at(self, voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Label values and weights, summing to 1, at ``voxels`` (3, n): (count, n) each."""
        labels, weights = zip(*(votes.at(voxels) for votes in self._votes))
        return torch.cat(labels), torch.cat(weights) / len(self._votes)


def together(parts: list[Ballot]) -> Ballot:
    """The ballots of parts of the voxels, in their order."""
    return Ballot(
        np.concatenate([p.where for p in parts]),
        *(np.concatenate([getattr(p, name) for p in parts], axis=1) for name in ("candidates", "shares")),
    )
