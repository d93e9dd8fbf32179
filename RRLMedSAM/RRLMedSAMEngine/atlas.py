"""An atlas, and what is made of it once for all of its targets."""

import hashlib

import numpy as np

from . import intensity, mirror, models, package, workgrid
from .card import Card
from .features import Features, guide_well
from .frame import Frame, FramedAtlas, frame_atlas, make_frame
from .image import Volume
from .learned import Learned
from .networks.model import PROMPTS, Model

_kept: dict[str, dict] = {}  # by content, what was made of the atlas that was used last


class Atlas:
    """``volume``: the image. ``labels``: label maps in its space, one for each layer of overlapping structures.

    What costs time and depends on no target is made when it is first asked for, and kept until another atlas is used:
    one that comes again, from files or from the panel, is known by its content. No voxels are kept but those of the
    mirror image, at effort `best`, and the features that a model compares.
    """

    def __init__(self, volume: Volume, labels: list[Volume]):
        self.volume, self.labels = volume, labels
        self._made: dict = {}

    @classmethod
    def known(cls, volume: Volume, labels: list[Volume]) -> "Atlas":
        """The atlas with what is kept of it."""
        atlas, digest = cls(volume, labels), _digest([volume, *labels])
        if digest not in _kept:
            _kept.clear()
            _kept[digest] = {}
        atlas._made = _kept[digest]
        return atlas

    @property
    def window(self) -> intensity.Window:
        return self._once("window", lambda: intensity.find_window(self.volume.array, "atlas"))

    @property
    def box(self):
        """As `workgrid.anatomy_box` gives it."""
        return self._once("box", lambda: workgrid.anatomy_box(self.volume, self.window))

    @property
    def frame(self) -> Frame:
        """In which models see the atlas and its targets."""
        return self._once("frame", lambda: make_frame(self.labels, float(self.volume.geometry.spacing.min())))

    def framed(self, device) -> list[FramedAtlas]:
        """The image and each of the label maps in the frame."""
        image = self.frame.atlas_image(self.volume, self.window, self.box, device)
        return [frame_atlas(self.frame, image, labels) for labels in self.labels]

    @property
    def values(self) -> list[np.ndarray]:
        """The label values of each of the label maps, ascending, without 0."""
        return self._once("values", lambda: [np.unique(layer.array[layer.array != 0]) for layer in self.labels])

    def volumes_ml(self, values) -> list[np.ndarray]:
        """The volume of each of the layers' ``values``, ascending."""
        return self._once("volumes", lambda: [_volumes_ml(v, layer) for v, layer in zip(values, self.labels)])

    def mirrored(self, check) -> "Atlas | None":
        """See `mirror.mirrored`; None also where segments overlap."""
        if len(self.labels) != 1:
            return None
        found = self._once("mirrored", lambda: mirror.mirrored(self.volume, self.labels[0], check))
        return found and self._once("twin", lambda: Atlas(found[0], [found[1]]))

    def model(self, name: str, effort: str, warn):
        """As `models.load`. A package is read once, and again when its file has changed."""
        key = name, effort, models.modified(name)
        if self._made.get("model", (None,))[0] != key:
            warnings: list[str] = []
            self._made["model"] = key, models.load(name, effort, self.volume, self.labels, warnings.append), warnings
            self._forget_model()
        _key, loaded, warnings = self._made["model"]
        for text in warnings:
            warn(text)
        return loaded

    def owns(self, card: Card) -> bool:
        """Whether a model with this card was adapted to this atlas.

        Such a one is asked more than once where `plan.Effort` has it. A general one goes astray: asked twice it loses
        0.004 Dice on brains and hippocampi.
        """
        return card.atlas_fingerprint == self._once(
            "fingerprint", lambda: package.fingerprint(self.volume, self.labels)
        )

    def prompts(self, card: Card) -> int:
        """How many masks prompt a model with this card: its own, too, if it learned that on this atlas.

        Elsewhere it loses by that as by being asked twice.
        """
        return PROMPTS if self.owns(card) and card.training.get("prompts") == PROMPTS else 1

    def is_guided(self) -> bool:
        """Whether a model of this atlas guides the registration: one with few structures is better without."""
        return guide_well(sum(map(len, self.values)))

    def learned(self, model: Model, device) -> Learned:
        """The ``model`` made ready for this atlas."""
        return self._ready(Learned, model, device)

    def features(self, model: Model, device) -> Features:
        """What the ``model`` sees of this atlas."""
        return self._ready(Features, model, device)

    def _ready(self, kind, model, device):
        wanted = model, str(device)
        if self._made.get("ready for") != wanted:
            # First: all have the model's weights, which move to another device even where its memory does not suffice.
            self._forget_model()
            self._made["ready for"] = wanted
        return self._once(kind, lambda: kind(model, self, device))

    def _forget_model(self):
        for name in ("ready for", Learned, Features):
            self._made.pop(name, None)
        if twin := self._made.get("twin"):
            twin._forget_model()

    def _once(self, name, make):
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def _volumes_ml(values, layer: Volume) -> np.ndarray:
    found = layer.array[layer.array != 0]
    return np.bincount(np.searchsorted(values, found), minlength=len(values)) * layer.geometry.voxel_volume_ml


def _digest(volumes: list[Volume]) -> str:
    digest = hashlib.blake2b(digest_size=20)
    for volume in volumes:
        digest.update(f"{volume.array.dtype.str} {volume.array.shape}".encode())
        digest.update(np.ascontiguousarray(volume.geometry.voxel_to_lps).tobytes())
        digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()
