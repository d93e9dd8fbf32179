"""Intensities made comparable: MR, CT or unknown, mapped to about 0..1."""

import dataclasses

import numpy as np

from .errors import bad_input

SAMPLE = 400_000  # voxels looked at to find the window; percentiles of more change nothing
AIR_HU, DENSE_HU = -1024.0, 1500.0
NO_IMAGE = -5000.0  # darker than any CT, its padding included


@dataclasses.dataclass(frozen=True)
class Window:
    """Intensities ``low``..``high`` are mapped to 0..1, clipped to 0..1.2.

    ``kind``: ``CT`` (Hounsfield units) or ``MR`` (any other). ``foreground``: above it (after mapping) a voxel
    belongs to the body rather than to the air around it; None where the image is filled to its faces.
    """

    kind: str
    low: float
    high: float
    foreground: float | None

    def apply(self, array: np.ndarray) -> np.ndarray:
        """(k, j, i) of any type -> float32; what is not finite becomes 0."""
        result = array.astype(np.float32)
        result -= self.low
        result *= 1 / (self.high - self.low)
        np.nan_to_num(result, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return np.clip(result, 0, 1.2, out=result)


def find_window(array: np.ndarray, what: str) -> Window:
    """The window of a volume (k, j, i); ``what`` names it in errors ("atlas", "target").

    Raises EngineError (bad_input) for a constant image and for one without finite intensities.
    """
    step = max(1, array.size // SAMPLE)
    # An odd step, so that a sample of a volume with an even row length does not see one column only.
    values = array.reshape(-1)[:: step | 1].astype(np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        flat = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if flat.size == 0:
            raise bad_input(f"The {what} holds no finite intensities.", "Check the file.")
        if flat.min() == flat.max():
            raise bad_input(f"All voxels of the {what} have the same intensity.", "Choose the image, not an empty one.")
        values = flat.reshape(-1).astype(np.float64)
    lowest = values.min()
    rest = values[values > lowest]
    if lowest < NO_IMAGE and rest.min() - lowest > np.ptp(rest) > 0:  # far from all else: what fills up the volume
        lowest = rest.min() - 0.1 * np.ptp(rest)
        values = np.maximum(values, lowest)
    if lowest <= -500 and np.percentile(values, 99.9) <= 5000 and lowest >= NO_IMAGE:
        high = float(np.clip(np.percentile(values, 99.9), 300, DENSE_HU))
        return Window("CT", AIR_HU, high, (-300 - AIR_HU) / (high - AIR_HU))
    background = (values == lowest).mean()
    if background > 0.2:  # stripped or masked: the rest of the image alone says what is bright
        low, high = lowest, np.percentile(values[values > lowest], 99)
        foreground = 0.02
    else:
        low, high = np.percentile(values, [1, 99])
        scaled = (values - low) / max(high - low, 1e-12)
        # An anatomy in air has a large dark share well apart from its tissue; a cropped organ has not.
        foreground = 0.12 if (scaled < 0.08).mean() > 0.2 else None
    if not high > low:
        low, high = lowest, values.max()
    return Window("MR", float(low), float(high), foreground)
