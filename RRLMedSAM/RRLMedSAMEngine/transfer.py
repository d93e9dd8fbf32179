"""Labels and confidence on the target's own grid."""

import numpy as np
import torch

from . import fusion, labels, likelihood
from .ballot import Ballot, MeanVotes, together
from .deformation import slabs
from .geometry import Geometry
from .image import Volume
from .mirror import SILENT
from .sampling import lattice, nearest, sample

MODEL_SHARE = 0.9  # a model's weight beside the patches' or the partial volumes'; 0.7 to 1 are about as good
MODEL_REACH = 2  # voxels of the work grid around a border in which it votes


class Transfer:
    """Carries label maps from the atlas to a target.

    ``displacement``: (3, k, j, i) in voxels of ``grid``, zero at its border; x + u(x), then ``affine`` (LPS mm), is
    the atlas point. ``layers``: label maps on any grid in the atlas's space.
    """

    def __init__(self, layers: list[Volume], affine: np.ndarray, displacement: torch.Tensor, grid: Geometry):
        self._displacement, self._grid = displacement, grid
        self._layers = []
        device = displacement.device
        for layer in layers:
            matrix = layer.geometry.lps_to_voxel @ affine @ grid.voxel_to_lps
            linear = torch.tensor(matrix[:3, :3], dtype=torch.float32, device=device)
            offset = torch.tensor(matrix[:3, 3], dtype=torch.float32, device=device).view(3, 1)
            values = torch.from_numpy(np.ascontiguousarray(layer.array, np.int32)).to(device)
            self._layers.append((values, linear, offset))

    @classmethod
    def registered(cls, layers: list[Volume], found) -> "Transfer":
        """``found``: a `Registered` pair, whose deformation carries the labels."""
        return cls(layers, found.affine, found.displacement, found.grid)

    def vote(self, voxels: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Label and share of the partial volumes at ``voxels`` (3, n), coordinates on the grid: (n,), (n,)."""
        return labels.vote(*self._carried(voxels, layer))

    def _carried(self, voxels, layer):
        """A layer's label map, and where its voxels (3, n) the deformation brings ``voxels`` to."""
        moved = sample(self._displacement, voxels, padding="zeros").add_(voxels)
        values, linear, offset = self._layers[layer]
        return values, (linear @ moved).add_(offset)

    def warped(self, geometry: Geometry, check) -> tuple[list[np.ndarray], np.ndarray]:
        """The layers' labels on ``geometry``, and the smallest of their shares as uint8 percent: (k, j, i)."""
        maps = [np.empty(geometry.shape, np.int32) for _ in self._layers]
        certainty = np.empty(geometry.shape, np.uint8)
        for slab, part in slabs(geometry):
            check()
            voxels = self.voxels(part)
            share = torch.ones(voxels.shape[1], device=voxels.device)
            for layer, result in enumerate(maps):
                winner, part_share = self.vote(voxels, layer)
                result[slab] = winner.view(part.shape).cpu().numpy()
                share = torch.minimum(share, part_share)
            certainty[slab] = _percent(share).view(part.shape).cpu().numpy()
        return maps, certainty

    def refine(
        self, maps, certainty, geometry: Geometry, found, check, *, patches=True, second=None, within=None
    ) -> None:
        """Lets patches vote near the borders of ``maps``, and the target's intensities judge among the foremost labels;
        changes ``maps`` and ``certainty`` in place. The others: as `ballots` takes them.
        """
        ballots = self.ballots(maps, geometry, found, check, patches=patches, second=second, within=within)
        self.judge(maps, certainty, ballots, geometry, found, check)

    def refine_with_model(
        self, maps, certainty, geometry: Geometry, found, check, ask, rounds: int, *, patches=True, second=None
    ) -> None:
        """`refine`, in which a trained model votes as well.

        ``ask(labels)``: gives its `Votes` for each layer, at voxels of the deformation's grid. In the first of the
        ``rounds``, of which there is one at least, it is asked with each of the `beginnings`, in the others with the
        labels of the round before.
        """
        known = self.beginnings(maps, geometry, check, second)
        ballots = self.ballots(maps, geometry, found, check, patches=patches, second=second)
        ballots = self.widened(maps, ballots, geometry)
        for _ in range(rounds):
            votes = [MeanVotes(of_layer) for of_layer in zip(*map(ask, known))]
            joined = self.joined(ballots, votes, geometry, check, MODEL_SHARE)
            judged = [held.copy() for held in maps]
            self.judge(judged, certainty, joined, geometry, found, check)
            known = [judged]
        for held, new in zip(maps, judged):
            held[...] = new

    def beginnings(self, maps, geometry: Geometry, check, second=None) -> list[list[np.ndarray]]:
        """What a model is first asked with: the layers' labels as they are carried from each atlas.

        Not those that the patches choose from them: a model has learned from labels as smooth as these, and brains lose
        0.004 Dice with rougher ones.
        """
        found = [[held.copy() for held in maps]]
        if second:
            others, _ = second[0].warped(geometry, check)
            found.append([np.where(other == SILENT, held, other) for held, other in zip(maps, others)])
        return found

    def ballots(
        self, maps, geometry: Geometry, found, check, *, patches=True, second=None, within=None
    ) -> list[Ballot]:
        """Who may have the voxels near the borders of ``maps``, one ballot for each layer, the foremost candidate
        first. Where patches voted, ``maps`` are what they chose afterwards.

        ``found``: the `Registered` pair. ``patches``: whether they vote; otherwise the partial volumes of the deformed
        labels do. ``second``: another atlas's `Transfer` and `Registered` pair with the same target, whose patches vote
        too; it has one layer, as this one then. ``within``: bool (k, j, i), the only voxels to be voted on; few as they
        are, they are looked at in the smallest neighbourhood.
        """
        if not patches:
            return self._partial_volumes(maps, geometry, check)
        ballots = self._polled(maps, geometry, found, check, second, within)
        for held, ballot in zip(maps, ballots):
            held.reshape(-1)[ballot.where] = ballot.candidates[0]
        return ballots

    def widened(self, maps, ballots, geometry) -> list[Ballot]:
        """The layers' ``ballots`` with all voxels near the borders of ``maps`` in which a model votes."""
        index = self._near_borders(maps, geometry, MODEL_REACH)
        return [ballot.extended(held, index) for held, ballot in zip(maps, ballots)]

    def joined(self, ballots, votes, geometry, check, share) -> list[Ballot]:
        """The layers' `widened` ballots with a trained model's ``votes``, whose weight is ``share``."""
        return [self._joined(*pair, share, geometry, check) for pair in zip(ballots, votes)]

    def judge(self, maps, certainty, ballots, geometry: Geometry, found, check) -> None:
        """Decides the ``ballots`` by the target's own intensities; changes ``maps`` and ``certainty`` in place."""
        index = ballots[0].where
        if not len(index):
            return
        voxels = _located(index, geometry, found.seen.grid)
        image, share = found.seen.image.cpu().numpy(), np.ones(len(index), np.float32)
        for held, ballot in zip(maps, ballots):
            check()
            here = nearest(held, geometry, found.seen.grid)
            seen = likelihood.evidence(image, here, voxels, ballot.candidates)
            likelihood.decide(held, index, ballot.candidates, ballot.shares, seen)
            # Of the vote's winner: that is what the confidence was fitted with.
            share = np.minimum(share, ballot.shares.max(axis=0))
        certainty.reshape(-1)[index] = np.rint(100 * share)

    def _polled(self, maps, geometry, found, check, second, within):
        """The patches' ballots, one for each layer; the foremost candidates come first."""
        index = self._near_borders(maps, geometry, 1)
        opinions = [(self, found)]
        if second:
            opinions.append(second)
            others, _ = second[0].warped(geometry, check)
            index = np.union1d(index, self._near_borders(others, geometry, 1))
        radius = fusion.search_radius(len(index))
        if within is not None:
            index, radius = index[within.reshape(-1)[index]], 1
        votes = [fusion.PatchVote(f.target.image, f.warped, radius) for _, f in opinions]
        offsets = votes[0].offsets
        ranked = [[] for _ in maps]
        for part in _parts(len(index), fusion.ELEMENTS // (len(offsets) * len(votes))):
            places = [transfer.located(index[part], geometry) for transfer, _ in opinions]
            distances = [v.distances(at - f.margin, check) for v, at, (_, f) in zip(votes, places, opinions)]
            distances = torch.cat(distances)
            for layer, ballots in enumerate(ranked):
                candidates = torch.cat(
                    [transfer.around(at, offsets, layer, check) for (transfer, _), at in zip(opinions, places)]
                )
                weights = fusion.weights(distances, offsets * len(votes), candidates != SILENT)
                found_here = fusion.ranking(candidates, weights, likelihood.CANDIDATES)
                ballots.append(Ballot(index[part], *(values.cpu().numpy() for values in found_here)))
        return [together(ballots) for ballots in ranked]

    def _partial_volumes(self, maps, geometry, check):
        """The ballots of the deformed labels themselves, one for each layer, where these are not of one mind."""
        index = self._near_borders(maps, geometry, 1)
        ranked = [[] for _ in maps]
        for part in _parts(len(index), fusion.ELEMENTS // 8):
            check()
            voxels = self.located(index[part], geometry)
            votes = [labels.ballots(*self._carried(voxels, layer)) for layer in range(len(maps))]
            mixed = torch.stack([(held != held[:1]).any(dim=0) for held, _ in votes]).any(dim=0)
            where = index[part][mixed.cpu().numpy()]
            for ballots, (held, weights) in zip(ranked, votes):
                found_here = fusion.ranking(held[:, mixed], weights[:, mixed], likelihood.CANDIDATES)
                ballots.append(Ballot(where, *(values.cpu().numpy() for values in found_here)))
        return [together(ballots) for ballots in ranked]

    def _joined(self, ballot, votes, share, geometry, check):
        parts = []
        for part in _parts(len(ballot.where), fusion.ELEMENTS // votes.count):
            check()
            theirs = votes.at(self.located(ballot.where[part], geometry))
            parts.append(ballot.joined_by(*theirs, share, part))
        return together(parts)

    def around(self, voxels: torch.Tensor, offsets, layer: int, check) -> torch.Tensor:
        """The labels at each of the offsets (i, j, k) from ``voxels`` (3, n), coordinates on the grid: (offsets, n)."""
        held = torch.empty(len(offsets), voxels.shape[1], dtype=torch.int32, device=voxels.device)
        for row, offset in enumerate(offsets):
            check()
            there = voxels + torch.tensor(offset, dtype=torch.float32, device=voxels.device)[:, None]
            held[row] = self.vote(there, layer)[0]
        return held

    def _near_borders(self, maps, geometry, times):
        """Flat indices of the voxels within so many voxels of the work grid of a border in any layer."""
        reach = times * np.maximum(np.round(self._grid.spacing / geometry.spacing), 1)
        near = np.zeros(geometry.shape, bool)
        for held in maps:
            near |= fusion.near_borders(held, reach)
        return np.flatnonzero(near)

    def located(self, index: np.ndarray, geometry: Geometry) -> torch.Tensor:
        """Where the voxels of ``geometry`` with these flat indices lie on the grid: (3, n)."""
        return torch.from_numpy(_located(index, geometry, self._grid)).to(self._displacement)

    def voxels(self, geometry: Geometry) -> torch.Tensor:
        """Where the geometry's voxels lie on the grid: (3, n)."""
        return lattice(
            geometry.shape, self._grid.lps_to_voxel @ geometry.voxel_to_lps, self._displacement.device
        ).flatten(1)


def _located(index, geometry: Geometry, grid: Geometry) -> np.ndarray:
    """Where the voxels of ``geometry`` with these flat indices lie on a grid: (3, n), coordinates (i, j, k)."""
    at = np.stack(np.unravel_index(index, geometry.shape)[::-1])
    matrix = grid.lps_to_voxel @ geometry.voxel_to_lps
    return (matrix[:3, :3] @ at + matrix[:3, 3:]).astype(np.float32)


def _parts(length, count):
    """Slices of at most ``count``; an empty one where there is nothing."""
    return [slice(first, min(first + count, length)) for first in range(0, max(length, 1), count)]


def _percent(share: torch.Tensor) -> torch.Tensor:
    return (100 * share).round_().clamp_(0, 100).to(torch.uint8)
