"""The segments that a segmentation shares with the atlas, as the engine numbers the atlas's."""

import numpy as np

from .exchange import pieces


def inAtlasValues(read, atlas, last=()):
    """Generator; returns a label map (k, j, i) on ``read``'s grid for each layer of the atlas, with the atlas's values.

    ``read``, ``atlas``: `AtlasLabels` whose steps are done. Segments are the same where their IDs are; those that the
    atlas does not have are left out. ``last``: IDs of segments that count where segments overlap.
    """
    shape = read.layers[0].shape
    own = {structure.segmentId: (value, structure.layer) for value, structure in enumerate(read.structures, start=1)}
    layers = [np.zeros(shape, layer.dtype) for layer in atlas.layers]
    order = sorted(enumerate(atlas.structures, start=1), key=lambda pair: pair[1].segmentId in last)
    for value, structure in order:
        if structure.segmentId not in own:
            continue
        number, layer = own[structure.segmentId]
        for piece in pieces(shape):
            np.copyto(layers[structure.layer][piece], value, where=read.layers[layer][piece] == number)
            yield
    return layers
