"""The labels near the borders of what was carried, decided once more: by patches, a trained model and intensities."""

import functools

import numpy as np
import torch

from . import fusion, likelihood
from .ballot import Ballot, MeanVotes, together
from .geometry import Geometry
from .mirror import SILENT
from .sampling import nearest, places
from .transfer import Transfer

MODEL_SHARE = 0.9  # a model's weight beside the patches' or the partial volumes'; 0.7 to 1 are about as good
MODEL_REACH = 2  # voxels of the work grid around a border in which it votes


class Borders:
    """Of the structures on one target. ``maps`` are one label map (k, j, i) a layer, ``certainty`` is uint8 percent
    (k, j, i), as `Transfer.warped` gives both."""

    def __init__(self, transfer: Transfer, found, geometry: Geometry, check, *, patches=True, second=None):
        """``found``: the `Registered` pair that ``transfer`` is of. ``geometry``: of the maps. ``check()`` is called
        meanwhile. ``patches``: whether they vote; otherwise the partial volumes of the deformed labels do. ``second``:
        another atlas's `Transfer` and `Registered` pair with the same target, whose patches vote too; both have one
        layer then.
        """
        self._transfer, self._found, self._geometry, self._check = transfer, found, geometry, check
        self._patches, self._second = patches, second

    def refine(self, maps, certainty, within=None) -> None:
        """Lets patches vote, and the target's intensities judge among the foremost labels; changes ``maps`` and
        ``certainty`` in place. ``within``: as `ballots` takes it."""
        self.judge(maps, certainty, self.ballots(maps, within))

    def refine_with_model(self, maps, certainty, ask, rounds: int) -> None:
        """`refine`, in which a trained model votes as well.

        ``ask(maps)``: gives its `Votes` for each layer, at voxels of the deformation's grid. In the first of the
        ``rounds``, of which there is one at least, it is asked with each of the `beginnings`, in the others with the
        labels of the round before.
        """
        known = self.beginnings(maps)
        ballots = self.widened(maps, self.ballots(maps))
        for _ in range(rounds):
            votes = [MeanVotes(of_layer) for of_layer in zip(*map(ask, known))]
            judged = [held.copy() for held in maps]
            self.judge(judged, certainty, self.joined(ballots, votes, MODEL_SHARE))
            known = [judged]
        for held, new in zip(maps, judged):
            held[...] = new

    def beginnings(self, maps) -> list[list[np.ndarray]]:
        """What a model is first asked with: the layers' labels as they are carried from each atlas.

        Not those that the patches choose from them: a model has learned from labels as smooth as these, and brains lose
        0.004 Dice with rougher ones.
        """
        found = [[held.copy() for held in maps]]
        if self._second:
            found.append([np.where(other == SILENT, held, other) for held, other in zip(maps, self._others)])
        return found

    def ballots(self, maps, within=None) -> list[Ballot]:
        """Who may have the voxels near the borders of ``maps``, one ballot for each layer, the foremost candidate
        first. Where patches voted, ``maps`` are what they chose afterwards.

        ``within``: bool (k, j, i), the only voxels to be voted on; few as they are, they are looked at in the smallest
        neighbourhood.
        """
        if not self._patches:
            return self._partial_volumes(maps)
        ballots = self._polled(maps, within)
        for held, ballot in zip(maps, ballots):
            held.reshape(-1)[ballot.where] = ballot.candidates[0]
        self.__dict__.pop("_others", None)  # as large as the target, and not needed again
        return ballots

    def widened(self, maps, ballots) -> list[Ballot]:
        """The layers' ``ballots`` with all voxels near the borders of ``maps`` in which a model votes."""
        index = self._near(maps, MODEL_REACH)
        return [ballot.extended(held, index) for held, ballot in zip(maps, ballots)]

    def joined(self, ballots, votes, share) -> list[Ballot]:
        """The layers' `widened` ballots with a trained model's ``votes``, whose weight is ``share``."""
        return [self._joined(*pair, share) for pair in zip(ballots, votes)]

    def judge(self, maps, certainty, ballots) -> None:
        """Decides the ``ballots`` by the target's own intensities; changes ``maps`` and ``certainty`` in place."""
        index, seen = ballots[0].where, self._found.seen
        if not len(index):
            return
        voxels = places(index, self._geometry, seen.grid)
        image, share = seen.image.cpu().numpy(), np.ones(len(index), np.float32)
        for held, ballot in zip(maps, ballots):
            self._check()
            here = nearest(held, self._geometry, seen.grid)
            evidence = likelihood.evidence(image, here, voxels, ballot.candidates)
            likelihood.decide(held, index, ballot.candidates, ballot.shares, evidence)
            # Of the vote's winner: that is what the confidence was fitted with.
            share = np.minimum(share, ballot.shares.max(axis=0))
        certainty.reshape(-1)[index] = np.rint(100 * share)

    @functools.cached_property
    def _others(self):
        """The second atlas's labels."""
        return self._second[0].warped(self._geometry, self._check)[0]

    def _polled(self, maps, within):
        """The patches' ballots, one for each layer; the foremost candidates come first."""
        index = self._near(maps, 1)
        opinions = [(self._transfer, self._found)]
        if self._second:
            opinions.append(self._second)
            index = np.union1d(index, self._near(self._others, 1))
        radius = fusion.search_radius(len(index))
        if within is not None:
            index, radius = index[within.reshape(-1)[index]], 1
        votes = [fusion.PatchVote(f.target.image, f.warped, radius) for _, f in opinions]
        offsets = votes[0].offsets
        ranked = [[] for _ in maps]
        for part in _parts(len(index), fusion.ELEMENTS // (len(offsets) * len(votes))):
            voxels = [transfer.located(index[part], self._geometry) for transfer, _ in opinions]
            distances = [v.distances(at - f.margin, self._check) for v, at, (_, f) in zip(votes, voxels, opinions)]
            distances = torch.cat(distances)
            for layer, ballots in enumerate(ranked):
                candidates = torch.cat(
                    [transfer.around(at, offsets, layer, self._check) for (transfer, _), at in zip(opinions, voxels)]
                )
                weights = fusion.weights(distances, offsets * len(votes), candidates != SILENT)
                found_here = fusion.ranking(candidates, weights, likelihood.CANDIDATES)
                ballots.append(Ballot(index[part], *(values.cpu().numpy() for values in found_here)))
        return [together(ballots) for ballots in ranked]

    def _partial_volumes(self, maps):
        """The ballots of the deformed labels themselves, one for each layer, where these are not of one mind."""
        index = self._near(maps, 1)
        ranked = [[] for _ in maps]
        for part in _parts(len(index), fusion.ELEMENTS // 8):
            self._check()
            voxels = self._transfer.located(index[part], self._geometry)
            votes = [self._transfer.ballots(voxels, layer) for layer in range(len(maps))]
            mixed = torch.stack([(held != held[:1]).any(dim=0) for held, _ in votes]).any(dim=0)
            where = index[part][mixed.cpu().numpy()]
            for ballots, (held, weights) in zip(ranked, votes):
                found_here = fusion.ranking(held[:, mixed], weights[:, mixed], likelihood.CANDIDATES)
                ballots.append(Ballot(where, *(values.cpu().numpy() for values in found_here)))
        return [together(ballots) for ballots in ranked]

    def _joined(self, ballot, votes, share):
        parts = []
        for part in _parts(len(ballot.where), fusion.ELEMENTS // votes.count):
            self._check()
            theirs = votes.at(self._transfer.located(ballot.where[part], self._geometry))
            parts.append(ballot.joined_by(*theirs, share, part))
        return together(parts)

    def _near(self, maps, times):
        """Flat indices of the voxels within so many voxels of the work grid of a border in any layer."""
        reach = times * np.maximum(np.round(self._found.target.spacing / self._geometry.spacing), 1)
        near = np.zeros(self._geometry.shape, bool)
        for held in maps:
            near |= fusion.near_borders(held, reach)
        return np.flatnonzero(near)


def _parts(length, count):
    """Slices of at most ``count``; an empty one where there is nothing."""
    return [slice(first, min(first + count, length)) for first in range(0, max(length, 1), count)]
