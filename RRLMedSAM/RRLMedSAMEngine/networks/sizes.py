"""The sizes and the parts of all networks, in one place: a model package stores them beside its weights."""

import dataclasses

SAM_BASE_ENCODER = 89_670_912  # parameters of SAM-Base's image encoder; a test counts them
ENCODER_SHARE = 0.03  # of these, at most: the paper's lightweight encoder


@dataclasses.dataclass(frozen=True)
class Sizes:
    """``channels`` of the encoder at 1/2, 1/4, 1/8 and 1/16 of the grid. ``token``: width of a structure's token.
    ``embedding``: width of the vectors whose product says how well a voxel fits a structure. ``heads`` of attention.
    ``teacher``: width of the teacher's features. ``prompted``: the coarse mask is the decoder's prompt; without it is
    an ablation."""

    channels: tuple[int, ...] = (32, 64, 128, 160)
    token: int = 64
    embedding: int = 16
    heads: int = 4
    teacher: int = 256
    prompted: bool = True
