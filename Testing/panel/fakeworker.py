"""A worker for tests: no algorithm, a deformation known in closed form, and misbehaviour on request.

Run as `python fakeworker.py [behaviour]`; the behaviours are the functions at the end.
"""

import contextlib
import dataclasses
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import ownership, protocol, segfile
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.image import Volume, to_sitk, write_image

AMPLITUDE = np.array([2.0, -3.0, 1.5])  # mm, LPS
AFFINE = np.array(
    [[0.98, 0.10, 0.02, 4.0], [-0.09, 1.03, 0.05, -7.0], [0.01, -0.04, 1.01, 2.5], [0.0, 0.0, 0.0, 1.0]]
)  # LPS, target point -> atlas point
SHIFTED_ROWS = 2  # the labels are those of the atlas's grid, moved along j: exact and asymmetric


def tell(message):
    sys.stdout.write(protocol.encode(message))
    sys.stdout.flush()


def requests():
    for line in sys.stdin:
        yield protocol.decode(line, protocol.REQUESTS)


def forwardAt(points, centre, radius):
    """d(x): a smooth bump, zero with its slope where a coordinate is ``radius`` from the centre."""
    offset = np.clip((points - centre) / radius, -1, 1)
    return AMPLITUDE * np.prod(np.cos(offset * np.pi / 2) ** 2, axis=-1, keepdims=True)


def inverseAt(points, centre, radius):
    """e(p) with p + e(p) = x where x + d(x) = p."""
    displacement = np.zeros_like(points)
    for _step in range(25):
        displacement = -forwardAt(points + displacement, centre, radius)
    return displacement


def workGrid(request, shape, spacing=1.5):
    """A grid of its own, rotated against the target's, around the target's centre: (4, 4), shape, centre, radius."""
    centre = np.array(request.target.voxel_to_lps)[:3] @ np.append((np.array(shape[::-1]) - 1) / 2, 1)
    a, b = 0.3, -0.2
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    size = np.array([44, 40, 42])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * spacing
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((size - 1) / 2)
    return matrix, tuple(size[::-1]), centre, 16.0


def answer(request):
    """Writes a result and tells of it."""
    folder = Path(request.folder)
    target = np.load(folder / request.target.file)
    labels = [np.load(folder / array.file) for array in request.atlas_labels]
    names = []
    for number, layer in enumerate(labels):
        result = np.zeros(target.shape, layer.dtype)
        common = tuple(slice(0, min(a, b)) for a, b in zip(layer.shape, target.shape))
        result[common] = np.roll(layer, SHIFTED_ROWS, axis=1)[common]
        names.append(f"result{number}.npy")
        np.save(folder / names[-1], result)
    np.save(folder / "confidence.npy", np.full(target.shape, 87, np.uint8))
    matrix, shape, centre, radius = workGrid(request, target.shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)[..., ::-1]
    points = index @ matrix[:3, :3].T + matrix[:3, 3]
    np.save(folder / "forward.npy", forwardAt(points, centre, radius).astype(np.float32))
    np.save(folder / "inverse.npy", inverseAt(points, centre, radius).astype(np.float32))
    present = [(value, layer) for layer, array in enumerate(labels) for value in np.unique(array[array > 0]).tolist()]
    tell(
        protocol.Segmented(
            id=request.id,
            labels=[protocol.Array(name, request.target.voxel_to_lps) for name in names],
            confidence=protocol.Array("confidence.npy", request.target.voxel_to_lps),
            affine=tuple(map(tuple, AFFINE.tolist())),
            forward=protocol.Field("forward.npy", tuple(map(tuple, matrix.tolist()))),
            inverse=protocol.Field("inverse.npy", tuple(map(tuple, matrix.tolist()))),
            report=reportOf(request, present),
        )
    )


def answerFile(request):
    """Writes the atlas's labels as the result of a file, unless there is one that may not be replaced."""
    folder = Path(request.output) / request.name
    if folder.exists() and not request.overwrite:
        tell(protocol.Failed(request.id, "exists", "There is a result already.", "Choose another folder."))
        return
    folder.mkdir(exist_ok=True)
    labels = np.load(Path(request.folder) / request.atlas_labels.file)
    volume = Volume(labels, Geometry(np.array(request.atlas_labels.voxel_to_lps), labels.shape))
    structures = [segfile.Structure(s.label, s.name, s.colour, s.tags) for s in request.structures]
    segfile.write(volume, structures, folder / "segmentation.seg.nrrd")
    write_image(to_sitk(Volume(np.full(labels.shape, 80, np.uint8), volume.geometry)), folder / "confidence.nii.gz")
    report = reportOf(request, [(s.label, 0) for s in structures])
    for row, structure in zip(report["structures"], structures):
        row["name"] = structure.name
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    tell(protocol.Written(request.id, str(folder), report))


def answerRefine(request):
    """Keeps the corrected structures, moves the others by a voxel along i; reports how exact the deformation came."""
    folder = Path(request.folder)
    confidence = np.load(folder / request.confidence.file)
    layers, present = [], []
    for number, array in enumerate(request.labels):
        drawn = np.load(folder / array.file)
        kept = np.isin(drawn, request.edited)
        moved = np.roll(np.where(kept, 0, drawn), 1, axis=2)
        result = np.where(kept, drawn, np.where(np.isin(moved, request.edited), 0, moved)).astype(drawn.dtype)
        np.save(folder / f"refined{number}.npy", result)
        layers.append(protocol.Array(f"refined{number}.npy", array.voxel_to_lps))
        atlas = np.load(folder / request.atlas_labels[number].file)
        present += [(value, number) for value in np.unique(atlas[atlas > 0]).tolist()]
    np.save(folder / "trust.npy", np.maximum(confidence, 90))
    matrix, shape, centre, radius = workGrid(request, confidence.shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)[..., ::-1]
    field = np.load(folder / request.forward.file)
    expected = forwardAt(index @ matrix[:3, :3].T + matrix[:3, 3], centre, radius)
    errors = [field - expected, np.array(request.forward.voxel_to_lps) - matrix, np.array(request.affine) - AFFINE]
    report = {"device": "CPU", "seconds": {"deform": 0.2, "transfer": 0.1}, "structures": rowsOf(present)}
    report["errors"] = [float(np.abs(error).max()) for error in errors]
    toVoxels = np.linalg.inv(np.array(request.atlas.voxel_to_lps)) @ np.array(request.affine)
    report["target_to_atlas_voxels"] = toVoxels.tolist()
    for row in report["structures"]:
        if row["label"] in request.edited:
            row.update(confidence=100.0, reasons=["corrected"])
    tell(protocol.Refined(request.id, layers, protocol.Array("trust.npy", request.confidence.voxel_to_lps), report))


def answerProbe(request, *facts):
    versions = {"torch": "missing", "numpy": "2.0", "scipy": "1.0", "SimpleITK": "2.5", "safetensors": "0.8"}
    machine = {"engine": "0.0", "python": "3.12.1", "system": "Fake OS", "memory_gb": "9.0"}
    card = {"device": "Fake card", "device_memory_gb": "7.5"}
    others = dict(fact.split("=") for fact in facts)
    tell(protocol.Probed(request.id, {**machine, **versions, **card, **others}))


def reportOf(request, present):
    """``present``: (label, layer) of the structures."""
    return {
        "version": "0.0",
        "settings": {name: getattr(request, name) for name in ("effort", "device", "model", "seed")},
        "model": "instant",
        "device": "CPU",
        "seconds": {"read": 0.1, "align": 0.2, "deform": 0.5, "transfer": 0.1, "write": 0.1},
        "folding_percent": 0.0,
        "inverse_consistency_mm": {"mean": 0.01, "p95": 0.03},
        "structures": rowsOf(present),
        "warnings": [],
    }


def rowsOf(present):
    return [
        {
            "label": label, "layer": layer, "volume_ml": 1.5 * label, "confidence": 95.0 - 10 * n,
            "reasons": [[], ["low_agreement", "cut_by_view"]][n % 2], "check_at_lps": None,
        }
        for n, (label, layer) in enumerate(present)
    ]  # fmt: skip


# ---------------------------------------------------------------- behaviours


def good(seconds=0.0):
    """Answers every request; a run takes some seconds, during which it can be cancelled."""
    runs = requests()
    for request in runs:
        if isinstance(request, protocol.Segment):
            tell(protocol.Progress(request.id, "align", 0.3, 2.0))
            tell(protocol.Warned(request.id, "This is a warning."))
            time.sleep(float(seconds))
            tell(protocol.Progress(request.id, "deform", 0.8, 1.0))
            answer(request)
        elif isinstance(request, protocol.Refine):
            answerRefine(request)
        elif isinstance(request, protocol.SegmentFile):
            answerFile(request)
        elif isinstance(request, protocol.Probe):
            answerProbe(request)


def train(request):
    """Tells of a training as far as its first picture."""
    tell(protocol.Progress(request.id, "train", 0.4, 60.0))
    for step in range(5):
        tell(protocol.Losses(request.id, {"coarse": 1.0 / (1 + step), "refined": 0.8 / (1 + step)}))
    picture = np.zeros((40, 84, 3), np.uint8)
    picture[:20, :42] = (255, 0, 0)
    np.save(Path(request.folder) / "preview0.npy", picture)
    tell(protocol.Preview(request.id, "preview0.npy"))


def trainer(folder):
    """Takes its time to train ``folder``/mine.rrl, until it is told to stop; begun again, it is soon done."""
    for request in requests():
        if isinstance(request, protocol.Adapt):
            train(request)
            if request.resume:
                tell(protocol.Warned(request.id, "Scan 2 was left out."))
                os.rmdir(request.output + ".unfinished")
                drawn = [np.load(Path(request.folder) / example.labels.file) for example in request.examples]
                counts = [np.bincount(labels.ravel()).tolist() for labels in drawn]
                asked = {**dataclasses.asdict(request), "example_voxels": counts}
                Path(request.output).write_text(json.dumps(asked))
                tell(protocol.Adapted(request.id, request.output, {"name": "mine"}))
        elif isinstance(request, protocol.Cancel):
            (Path(folder) / "mine.rrl.unfinished").mkdir()
            tell(protocol.Failed(request.id, "cancelled", "Cancelled.", ""))


def politely():
    """Waits for a Cancel and obeys."""
    for request in requests():
        if not isinstance(request, protocol.Cancel):
            tell(protocol.Progress(request.id, "deform", 0.5, 60.0))
        else:
            tell(protocol.Failed(request.id, "cancelled", "Cancelled.", ""))


def mortal(count):
    """Ends without a word at each request of this number."""
    for number, request in enumerate(requests(), start=1):
        if number == int(count):
            os._exit(1)
        answer(request)


def deaf():
    """Starts a child, reads nothing more and ignores the polite ways to end it."""
    request = next(requests())
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tell(protocol.Warned(request.id, f"child {child.pid}"))
    if os.name != "nt":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def dying():
    request = next(requests())
    tell(protocol.Progress(request.id, "deform", 0.5, 60.0))
    print("the last words", file=sys.stderr, flush=True)
    os._exit(137)


def killed():
    """As by the system, for lack of memory."""
    next(requests())
    os.kill(os.getpid(), signal.SIGKILL)


def claiming():
    """Begins to write a result of a file, and gets no further."""
    request = next(requests())
    part = ownership.part_of(os.path.join(request.output, request.name))
    os.mkdir(part)
    _claim = ownership.claim(part)
    tell(protocol.Warned(request.id, part))
    time.sleep(600)


def garbage():
    next(requests())
    for number in range(100):
        print(f"no message {number} \udcff".encode("utf-8", "surrogateescape"), flush=True)
    time.sleep(600)


def chatty():
    """A library prints a little between the messages."""
    for request in requests():
        print("Loading weights ...", flush=True)
        sys.stdout.buffer.write(b"\xff\xfe broken bytes\n")
        tell(protocol.Progress(request.id, "align", 0.3, None))
        print("{}", flush=True)
        answer(request)


def otherversion():
    print('{"protocol": 999, "type": "ready", "pid": 1, "engine": "9"}', flush=True)
    time.sleep(600)


def hanging():
    request = next(requests())
    tell(protocol.Progress(request.id, "deform", 0.5, 60.0))
    time.sleep(600)


def probed(*facts):
    """Tells what it pretends to run on; each fact is NAME=TEXT."""
    for request in requests():
        if isinstance(request, protocol.Probe):
            answerProbe(request, *facts)


def notorch():
    for request in requests():
        tell(protocol.Failed(request.id, "no_torch", "PyTorch is not installed.", "Install it."))


def filling(count):
    """The disk is full when so many files are written."""
    for number, request in enumerate(requests()):
        if number < int(count):
            answerFile(request)
        else:
            tell(protocol.Failed(request.id, "disk_full", "The disk is full.", "Free some space."))


def fuzzing(seed, count):
    """Answers, with many lines before it that are spoiled."""
    chance = random.Random(int(seed))
    for request in requests():
        messages = [protocol.Progress(request.id, "deform", 0.5, 60.0), protocol.Warned(request.id, "Look out.")]
        for number in range(int(count)):
            line = bytearray(protocol.encode(chance.choice(messages)).encode("ascii").strip())
            for _ in range(chance.randrange(1, 6)):
                line[chance.randrange(len(line))] = chance.choice(b'{}[]":,0a\\\xff')
            sys.stdout.buffer.write(bytes(line) + b"\n")
            sys.stdout.flush()
            if number % 10 == 0:
                tell(messages[0])
        answer(request)


def misanswering(seed, most, kind=""):
    """Answers with up to so many spoiled answers before the right one; each request's as long as none is an answer."""
    chance, kept = random.Random(int(seed)), {}
    for request in requests():
        if isinstance(request, protocol.Cancel):
            continue
        for _ in range(int(most)):
            right = rightAnswer(request, kept)
            if kind == "Failed":
                right = protocol.Failed(request.id, "bad_input", "Wrong.", "Do it right.")
            line = spoiled(json.loads(protocol.encode(right)), chance)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            print("spoiled", file=sys.stderr, flush=True)
            try:
                message = protocol.decode(line, protocol.EVENTS)
            except protocol.ProtocolError:
                continue
            if isinstance(message, protocol.ANSWERS) and message.id == request.id:
                break
        else:
            tell(rightAnswer(request, kept))


def rightAnswer(request, kept):
    """The answer that the other behaviours give. ``kept``: what was computed once."""
    kind = type(request).__name__
    if kind not in kept:
        with contextlib.redirect_stdout(io.StringIO()) as told:
            {"Segment": answer, "SegmentFile": answerFile, "Probe": answerProbe}[kind](request)
        folder = Path(getattr(request, "folder", os.devnull))
        files = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
        kept[kind] = protocol.decode(told.getvalue(), protocol.EVENTS), files
    message, files = kept[kind]
    for name, content in files.items():
        (Path(request.folder) / name).write_bytes(content)
    return dataclasses.replace(message, id=request.id)


STRANGE = [
    None, True, -1, 0, 7, 1.5, 10**400, 1e308, float("nan"), float("inf"), -float("inf"), "", "no such file",
    "../../up", "/dev/null", "\0", "x" * 10_000, [], {}, [[]], [None], {"a": 1}, [1, 2, 3], [float("nan")] * 3,
]  # fmt: skip


def spoiled(content, chance):
    """A message's line with one or two things wrong, or cut off."""
    for _ in range(chance.randrange(1, 3)):
        part = content
        while True:
            key = chance.choice(list(part) if isinstance(part, dict) else range(len(part)))
            if isinstance(part[key], (dict, list)) and part[key] and chance.random() < 0.85:
                part = part[key]
            else:
                break
        if isinstance(part, dict) and chance.random() < 0.2:
            del part[key]
        else:
            part[key] = chance.choice(STRANGE)
        if not content:
            break
    line = json.dumps(content)
    return line[: chance.randrange(len(line))] if chance.random() < 0.1 else line


def liar():
    """Tells of files that are cut off."""
    for request in requests():
        folder = Path(request.folder)
        answer(request)
        with open(folder / "confidence.npy", "r+b") as file:
            file.truncate(200)


def mute():
    """Ends before it says anything."""
    sys.exit(3)


if __name__ == "__main__":
    behaviour, *arguments = sys.argv[1:] or ["good"]
    if behaviour not in ("mute", "otherversion"):
        tell(protocol.Ready(os.getpid(), "fake"))
    globals()[behaviour](*arguments)
