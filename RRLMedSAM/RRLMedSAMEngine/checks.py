"""What is refused before a run begins, and what is worth a warning."""

import numpy as np

from .errors import EngineError, bad_input
from .image import Volume

LARGEST = 2**31  # labels are kept in 32 bits
FEWEST = 4  # voxels along an axis below which there is no anatomy to register


def check_image(volume: Volume, what: str, warn) -> None:
    """Raises EngineError for an image that cannot be registered; ``what`` is "atlas" or "target"."""
    if min(volume.array.shape) < FEWEST:
        raise bad_input(
            f"The {what} has {' x '.join(map(str, volume.geometry.size_ijk))} voxels: too thin to register.",
            f"Give a volume with at least {FEWEST} voxels along each axis.",
        )
    if volume.array.dtype.kind == "f":
        invalid = 1 - np.isfinite(volume.array).mean()
        if invalid == 1:
            raise bad_input(f"The {what} holds no finite intensities.", "Check the file.")
        if invalid > 0:
            warn(f"{100 * invalid:.2g} % of the {what}'s voxels are not a number; they count as background.")


def check_labels(labels: list[Volume], atlas: Volume, warn) -> list[np.ndarray]:
    """The label values of each layer, ascending, without the background 0.

    Raises EngineError for an empty segmentation, for one that lies beside its atlas, and for values that are none of a
    label map.
    """
    values = [np.unique(layer.array) for layer in labels]
    if any(int(v[0]) <= -LARGEST or int(v[-1]) >= LARGEST for v in values):
        raise bad_input("The atlas labels have values with more than 32 bits.", "Give a label map with smaller ones.")
    values = [v[v != 0] for v in values]
    if not any(len(v) for v in values):
        raise bad_input("The atlas segmentation is empty.", "Choose the segmentation that belongs to the atlas.")
    if not all(layer.geometry.overlaps(atlas.geometry) for layer in labels):
        raise EngineError(
            "no_overlap",
            "The atlas segmentation lies beside the atlas.",
            "Choose the segmentation that was drawn on this atlas.",
        )
    if not all(layer.geometry.matches(atlas.geometry) for layer in labels):
        warn("The atlas segmentation has another grid than the atlas; it was used where it lies in space.")
    return values
