"""A trained model made ready for one atlas, and its votes on a target's labels."""

from . import inference
from .frame import numbered
from .geometry import Geometry
from .networks.model import Masks, Model
from .prior import make_prior
from .sampling import nearest


class Learned:
    """``model``: in evaluation mode. ``atlas``: an `Atlas`."""

    def __init__(self, model: Model, atlas, device):
        self._model = model.to(device)
        self.frame = atlas.frame
        layers = atlas.framed(device)
        self._image = layers[0].image
        self._values = [layer.values for layer in layers]
        self._described = [inference.describe(model, a.image, a.labels, a.count) for a in layers]

    @property
    def checks(self) -> int:
        """How often `masks` checks, at even distances."""
        return len(self._values) * len(inference.windows(self.frame.grid.shape))

    def masks(self, found, maps, geometry: Geometry, prompts: int, check) -> list[Masks[inference.Votes]]:
        """The model's masks of a registered target, one for each layer of the atlas, as votes on its labels.

        ``found``: `Registered`; ``maps``: the layers' labels on the target's ``geometry``, which the model refines.
        ``prompts``: as `Model` takes them. The votes are asked for in voxels of the deformation's grid.
        """
        affine = found.affine
        image = self.frame.image(found.familiar, affine, self._image)
        seen_from = self.frame.seen_from(affine)
        to_frame = seen_from.lps_to_voxel @ found.grid.voxel_to_lps
        votes = []
        for values, described, labels in zip(self._values, self._described, maps):
            here = nearest(labels, geometry, seen_from)
            prior = make_prior(numbered(here, values).to(image.device))
            masks = inference.predict(self._model, image, described, prior, prompts, check)
            votes.append(Masks(*(inference.Votes(m, values, to_frame) for m in (masks.coarse, masks.refined))))
        return votes
