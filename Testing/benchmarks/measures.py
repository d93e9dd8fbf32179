"""Overlap and distance of label maps, and how good a registration is by itself."""

import numpy as np
import torch
from RRLMedSAMEngine import intensity
from RRLMedSAMEngine.image import Volume
from RRLMedSAMEngine.labels import LabelMap
from RRLMedSAMEngine.sampling import lattice, sample
from RRLMedSAMEngine.similarity import LocalCorrelation
from scipy import ndimage

WIDTH = 9  # voxels of the local correlation's window
NOISE = 1e-3


def overlap(truth: np.ndarray, found: np.ndarray, groups: dict, spacing) -> dict:
    """Mean Dice and 95th percentile of the symmetric surface distances (mm) over ``groups``, name -> label values.

    ``truth``, ``found``: (k, j, i). ``spacing``: mm along k, j, i. A group in neither is left out; one in a single map
    has Dice 0 and no distance.
    """
    dice, distances = {}, []
    for name, values in groups.items():
        a, b = np.isin(truth, values), np.isin(found, values)
        if a.any() or b.any():
            dice[name] = float(2 * (a & b).sum() / (a.sum() + b.sum()))
        if a.any() and b.any():
            distances.append(_surface_distance(a, b, spacing))
    return {
        "dice": float(np.mean(list(dice.values()))),
        "hd95_mm": float(np.mean(distances)) if distances else None,
        "groups": dice,
    }


def _surface_distance(a, b, spacing):
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    surfaces = [m[box] & ~ndimage.binary_erosion(m[box]) for m in (a, b)]
    both = [ndimage.distance_transform_edt(~other, sampling=spacing)[one] for one, other in (surfaces, surfaces[::-1])]
    return float(np.percentile(np.concatenate(both), 95))


def registration(result, atlas: Volume, labels: Volume, target: Volume, score) -> dict:
    """Dice of the labels that the deformation alone brings, and the local correlation of the warped atlas.

    ``score``: called with the warped label map.
    """
    geometry = target.geometry
    moved = torch.from_numpy(np.moveaxis(result.deformation.total_forward(geometry), -1, 0).copy())
    moved += lattice(geometry.shape, geometry.voxel_to_lps)

    def voxels(volume):
        matrix = torch.tensor(volume.geometry.lps_to_voxel, dtype=torch.float32)
        return torch.tensordot(matrix[:3, :3], moved, 1) + matrix[:3, 3].view(3, 1, 1, 1)

    carried, _ = LabelMap(torch.from_numpy(labels.array.astype(np.int32))).vote(voxels(labels).flatten(1))
    windows = [intensity.find_window(v.array, what) for v, what in ((atlas, "atlas"), (target, "target"))]
    image, fixed = (torch.from_numpy(w.apply(v.array)) for w, v in zip(windows, (atlas, target)))
    correlation = LocalCorrelation(fixed, WIDTH, noise=NOISE).map(sample(image[None], voxels(atlas))[0])
    inside = carried.view(geometry.shape) > 0
    return {
        "warped_dice": score(Volume(carried.view(geometry.shape).numpy(), geometry))["dice"],
        "local_correlation": float(correlation[inside].mean()),
    }
