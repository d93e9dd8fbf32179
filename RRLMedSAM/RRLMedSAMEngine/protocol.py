"""What the panel and the worker say to each other: one JSON object a line, ASCII, both ways.

Standard library only, so that Slicer's process and the torch process import the same file.
Arrays do not travel in the messages: they lie as ``.npy`` files, (k, j, i) in memory, in a private
folder that the panel makes and removes; messages carry file names and geometries. Every geometry is a
4x4 matrix, voxel (i, j, k) -> LPS mm, as a list of four rows.
"""

import dataclasses
import json
import typing

VERSION = 1

EFFORTS = ("fast", "balanced", "best")
DEVICES = ("auto", "cpu", "cuda")
PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "safetensors")  # whose versions `Probed` tells
OWN_PACKAGES = "RRLMEDSAM_PACKAGES"  # of the environment: a folder in which the worker looks for packages first
BASE = "general"  # the shipped model that an adaptation begins with where no other is chosen
UNFINISHED = (
    ".unfinished"  # ends the name of the folder beside a package in which its training is kept until it is done
)

Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]  # voxel (i, j, k) -> LPS mm, or LPS mm -> LPS mm


class ProtocolError(ValueError):
    """A line that is no message of this protocol, or of another version of it."""


@dataclasses.dataclass
class Array:
    """A volume in the exchange folder: a ``.npy`` file, (k, j, i), and where its voxels lie."""

    file: str
    voxel_to_lps: Matrix


# ---------------------------------------------------------------- requests: panel -> worker


@dataclasses.dataclass
class Probe:
    """Asks what the worker runs on. Answered by `Probed`."""

    id: int


@dataclasses.dataclass
class Segment:
    """Asks for one run. Answered by `Progress` and `Warned`, then one `Segmented` or `Failed`.

    ``atlas_labels`` has one integer label map for each layer of the atlas segmentation: more than one
    only where segments overlap. They all lie on the same grid, which need not be the atlas's.
    ``folder`` is the absolute path of the exchange folder; the result's files are written into it.
    """

    id: int
    folder: str
    atlas: Array
    atlas_labels: list[Array]
    target: Array
    effort: str = "balanced"
    device: str = "auto"
    model: str = "auto"
    seed: int = 0


@dataclasses.dataclass
class Structure:
    """What a label value stands for. ``colour``: red, green, blue in 0..1; ``tags``: as a ``.seg.nrrd`` has them."""

    label: int
    name: str
    colour: tuple[float, float, float]
    tags: str = ""


@dataclasses.dataclass
class SegmentFile:
    """Asks for a target in a file, or DICOM folder, to be segmented into files. Answered by `Progress` and `Warned`,
    then one `Written` or `Failed`.

    ``target``: its absolute path; ``output``: that of the folder in which the target gets a folder of its own, called
    ``name``, with the files of the command line. The atlas's segments must not overlap.
    """

    id: int
    folder: str
    atlas: Array
    atlas_labels: Array
    structures: list[Structure]
    target: str
    output: str
    name: str
    overwrite: bool = False
    effort: str = "balanced"
    device: str = "auto"
    model: str = "auto"
    seed: int = 0


@dataclasses.dataclass
class Refine:
    """Asks for the last stages once more around corrected structures. Answered by `Progress` and `Warned`, then one
    `Refined` or `Failed`.

    ``affine`` and ``forward``: the deformation of the result, as in `Segmented`. ``labels``: for each layer of the
    atlas the label map on the target's grid, as corrected, with the atlas's values; ``confidence``: the result's.
    ``edited``: the corrected structures' values.
    """

    id: int
    folder: str
    atlas: Array
    atlas_labels: list[Array]
    target: Array
    affine: Matrix
    forward: "Field"
    labels: list[Array]
    confidence: Array
    edited: list[int]
    device: str = "auto"


@dataclasses.dataclass
class Example:
    """A volume and its label map."""

    image: Array
    labels: Array


@dataclasses.dataclass
class Adapt:
    """Asks for a model to be adapted to an atlas. Answered by `Progress`, `Warned`, `Losses` and `Preview`, then one
    `Adapted` or `Failed`.

    ``scans``: unlabelled volumes in the exchange folder; ``scan_folder``: one with files of more, or "". ``examples``:
    further volumes with labels, which have the atlas's values. ``names``: of the structures, by label value as text.
    ``output``: the package to be written, NAME.rrl. ``base``: model to begin with, or "" for none. ``resume``: go on
    with what a `Cancel` left beside ``output``, and with the settings it had, but for the device.
    """

    id: int
    folder: str
    atlas: Array
    atlas_labels: Array
    names: dict
    scans: list[Array]
    scan_folder: str
    examples: list[Example]
    output: str
    minutes: float
    device: str = "auto"
    base: str = BASE
    resume: bool = False
    seed: int = 0


@dataclasses.dataclass
class Cancel:
    """Ends the run with this id; answered by its `Failed` with code ``cancelled``."""

    id: int


# ---------------------------------------------------------------- events: worker -> panel


@dataclasses.dataclass
class Ready:
    """The worker is up. ``pid`` is its own, which differs from the launcher's that started it."""

    pid: int
    engine: str


@dataclasses.dataclass
class Probed:
    """``facts``: python, torch, device, memory_gb, models and more, each as a short text."""

    id: int
    facts: dict


@dataclasses.dataclass
class Progress:
    """``fraction`` of the whole run in 0..1; ``seconds_left`` is None while there is no estimate."""

    id: int
    stage: str
    fraction: float
    seconds_left: float | None = None


@dataclasses.dataclass
class Warned:
    """Something the user should know about a run that goes on."""

    id: int
    text: str


@dataclasses.dataclass
class Losses:
    """What a training's last steps cost: ``values`` by the name of the part."""

    id: int
    values: dict


@dataclasses.dataclass
class Preview:
    """A picture of how far a training is, in the exchange folder: ``.npy``, (rows, columns, 3) uint8."""

    id: int
    file: str


@dataclasses.dataclass
class Field:
    """A displacement field in the exchange folder: ``.npy`` (k, j, i, 3), float32, LPS mm, zero at its border.

    A point x maps to x + d(x); outside the grid d is zero.
    """

    file: str
    voxel_to_lps: Matrix


@dataclasses.dataclass
class Segmented:
    """The result of a run.

    ``labels``: a label map on the target's grid for each layer of the atlas, with the atlas's values.
    ``confidence``: uint8 percent on the target's grid.
    The deformation is T(x) = affine(x + forward(x)), target point -> atlas point, both LPS mm; its inverse is
    T^-1(y) = p + inverse(p) with p = affine^-1(y). ``affine`` is the 4x4 matrix, LPS mm -> LPS mm.
    ``report``: the same facts that the command line writes to ``report.json``.
    """

    id: int
    labels: list[Array]
    confidence: Array
    affine: Matrix
    forward: Field
    inverse: Field
    report: dict


@dataclasses.dataclass
class Refined:
    """The result of a `Refine`: label maps and confidence on the target's grid. ``report``: device, seconds,
    structures."""

    id: int
    labels: list[Array]
    confidence: Array
    report: dict


@dataclasses.dataclass
class Written:
    """The files of a `SegmentFile` are written into the folder ``output``. ``report``: as in its report.json."""

    id: int
    output: str
    report: dict


@dataclasses.dataclass
class Adapted:
    """The package is written. ``card``: what is known of it, as in its file."""

    id: int
    output: str
    card: dict


@dataclasses.dataclass
class Failed:
    """A request that ended without a result. ``text``: what is wrong; ``action``: what to do."""

    id: int
    code: str
    text: str
    action: str


REQUESTS = (Probe, Segment, SegmentFile, Refine, Adapt, Cancel)
ANSWERS = (Probed, Segmented, Refined, Written, Adapted, Failed)  # the last event of a request
EVENTS = (Ready, Progress, Warned, Losses, Preview, *ANSWERS)

_KINDS = {kind.__name__.lower(): kind for kind in REQUESTS + EVENTS}


def encode(message) -> str:
    """One line, with its line end, for a message of this protocol."""
    content = {"protocol": VERSION, "type": type(message).__name__.lower(), **dataclasses.asdict(message)}
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n"


def decode(line: str, kinds=REQUESTS + EVENTS):
    """The message in a line, one of ``kinds``; raises `ProtocolError` for anything else."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not a JSON line") from error
    if not isinstance(content, dict):
        raise ProtocolError("not a JSON object")
    version, kind = content.pop("protocol", None), _KINDS.get(str(content.pop("type", None)))
    if version != VERSION:
        raise ProtocolError(f"protocol version {version!r}, expected {VERSION}")
    if kind not in kinds:
        raise ProtocolError("unknown message type")
    return _checked(kind, content)


def _checked(kind, value):
    """``value``, parsed from JSON, as an instance of the annotated type ``kind``."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ProtocolError(f"{kind.__name__}: expected an object")
        hints = typing.get_type_hints(kind)
        required = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
        if not required <= set(value) <= set(hints):
            raise ProtocolError(f"{kind.__name__}: wrong fields")
        return kind(**{name: _checked(hints[name], item) for name, item in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if isinstance(value, list) and len(value) == len(arguments):
            return tuple(_checked(item, part) for item, part in zip(arguments, value))
    elif origin is list:
        if isinstance(value, list):
            return [_checked(arguments[0], part) for part in value]
    elif type(None) in arguments:
        return None if value is None else _checked(arguments[0], value)
    elif kind is float:
        # json reads NaN, Infinity and whole numbers too
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e30:
            return float(value)
    elif type(value) is kind:
        return value
    raise ProtocolError(f"expected {kind}, not {type(value).__name__}")
