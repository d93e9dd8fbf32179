"""The colour table of label maps. Slicer reads it from a file, which the slicer-core package lacks."""

import colorsys
import pathlib

COUNT = 256
GOLDEN_RATIO = 0.618034  # neighbours in a walk round the colour circle by this are far apart


def writeColourFiles(shareFolder):
    """Makes ColorFiles/GenericColors.txt: the name by which MRML asks for the colours, in Slicer's text format."""
    lines = ["0 background 0 0 0 0"]
    for value in range(1, COUNT):
        colour = colorsys.hsv_to_rgb(value * GOLDEN_RATIO % 1, 0.45 + 0.15 * (value % 3), 0.9)
        lines.append(f"{value} region_{value} " + " ".join(str(round(255 * part)) for part in colour) + " 255")
    folder = pathlib.Path(shareFolder) / "ColorFiles"
    folder.mkdir(parents=True)
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
