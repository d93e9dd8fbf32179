"""What the worker's and the command line's tests share: a phantom, and real processes to talk to."""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from RRLMedSAMEngine import protocol

HERE = Path(__file__).resolve().parent
MODULE_FOLDER = HERE.parents[1] / "RRLMedSAM"
PATIENCE = 60.0  # seconds; loading torch on a busy machine
SPACING = 2.0
OBLIQUE = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, -1.0]])  # left-handed


def environment(*folders) -> dict:
    """For a child process; ``folders`` come first on its path."""
    path = os.pathsep.join(map(str, [*folders, MODULE_FOLDER]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}


def voxel_to_lps(shape, direction=OBLIQUE) -> np.ndarray:
    """(4, 4): the grid (k, j, i) centred on LPS (5, -20, 30)."""
    matrix = np.eye(4)
    matrix[:3, :3] = direction * SPACING
    matrix[:3, 3] = np.array([5, -20, 30]) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return matrix


def phantom(shape, bend_mm=0.0, direction=OBLIQUE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A body with three organs: image int16 and labels uint8 (k, j, i), voxel_to_lps. ``bend_mm`` deforms it."""
    matrix = voxel_to_lps(shape, direction)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)[..., ::-1]
    x, y, z = np.moveaxis(index @ matrix[:3, :3].T + matrix[:3, 3] - [5, -20, 30], -1, 0)
    x = x + bend_mm * np.sin(y / 12)
    y = y + bend_mm * np.cos(z / 15)

    def ball(centre, radii):
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii)) < 1

    image, labels = np.zeros(shape), np.zeros(shape, np.uint8)
    image[ball((0, 0, 0), (32, 28, 30))] = 400
    organs = ((4, (-12, 2, 0), (9, 12, 10), 700), (9, (12, -4, 5), (8, 9, 14), 900), (30, (2, 12, -12), (7, 6, 8), 150))
    for value, centre, radii, intensity in organs:
        labels[ball(centre, radii)] = value
        image[ball(centre, radii)] = intensity
    image += np.random.default_rng(0).normal(0, 12, shape)
    return image.astype(np.int16), labels, matrix


def rows(matrix) -> tuple:
    return tuple(tuple(map(float, row)) for row in matrix)


def segment_request(folder, number=1, *, atlas=None, target=None, **settings) -> protocol.Segment:
    """Writes a pair of phantoms into the folder as the panel does; returns the request."""
    atlas_image, labels, atlas_matrix = atlas or phantom((36, 34, 38))
    target_image, _, target_matrix = target or phantom((38, 36, 34), bend_mm=2.0)
    for name, array in (("atlas", atlas_image), ("labels0", labels), ("target", target_image)):
        np.save(Path(folder) / f"{name}.npy", array)
    return protocol.Segment(
        id=number,
        folder=str(folder),
        atlas=protocol.Array("atlas.npy", rows(atlas_matrix)),
        atlas_labels=[protocol.Array("labels0.npy", rows(atlas_matrix))],
        target=protocol.Array("target.npy", rows(target_matrix)),
        **{"effort": "fast", "device": "cpu", "model": "instant", **settings},
    )


def write_series(folder, number, description, count, modality="MR", places=None):
    """Writes a DICOM series of ``count`` slices (8, 9) with its number as UID and voxel value; returns its files.

    ``places``: of the slices, y and z in LPS mm; 2.5 mm apart without them.
    """
    places = places or [(0, 2.5 * k) for k in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    uid, files = f"1.2.826.0.1.3680043.2.1125.{number}", []
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(count):
        part = sitk.GetImageFromArray(np.full((1, 8, 9), number, np.int16))[:, :, 0]
        tags = {
            "0008|0060": modality, "0008|103e": description, "0020|000e": uid, "0020|0011": str(number),
            "0020|0032": "0\\{}\\{}".format(*places[k]), "0020|0037": "1\\0\\0\\0\\1\\0", "0020|0013": str(k),
            "0008|0018": f"{uid}.{k + 1}",
        }  # fmt: skip
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        files.append(folder / f"{number}-{99 - k}.dcm")
        writer.SetFileName(str(files[-1]))
        writer.Execute(part)
    return files


INPUTS = ["atlas.npy", "labels0.npy", "target.npy"]


def files_in(folder) -> list[str]:
    return sorted(os.listdir(folder))


class WorkerUnderTest:
    """A worker's process and what it says; ``events``: (seconds since the start, message), in order.

    ``stub``: with the computation of `stubworker` instead of the pipeline.
    """

    def __init__(self, stub=False, path=(), **options):
        command = [str(HERE / "stubworker.py")] if stub else ["-m", "RRLMedSAMEngine.worker"]
        pipe = subprocess.PIPE
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *command], stdin=pipe, stdout=pipe, stderr=pipe, env=environment(*path), **options
        )
        self.events, self.log = [], []
        self._arrived = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._arrived.put((time.monotonic() - self.started, protocol.decode(line.decode("ascii"), protocol.EVENTS)))
        self._arrived.put(None)

    def send(self, *messages):
        self.send_bytes("".join(map(protocol.encode, messages)).encode("ascii"))

    def send_bytes(self, data: bytes):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for(self, wanted, seconds=PATIENCE):
        """The next message of the type, or for which the callable is true; fails after so many seconds."""
        matches = (lambda m: isinstance(m, wanted)) if isinstance(wanted, type) else wanted
        end = time.monotonic() + seconds
        while True:
            arrived = self._arrived.get(timeout=max(0.01, end - time.monotonic()))
            assert arrived is not None, f"the worker ended: {self.stderr}"
            self.events.append(arrived)
            if matches(arrived[1]):
                return arrived[1]

    def last_of(self, number, seconds=PATIENCE):
        """The message that ends the run with this id."""
        return self.wait_for(lambda m: isinstance(m, protocol.ANSWERS) and m.id == number, seconds)

    @property
    def stderr(self) -> str:
        return b"".join(self.log).decode("utf-8", "replace")

    def logs(self, text, seconds=5) -> bool:
        """Whether its stderr, which is read beside its events and may lag behind them, comes to hold the text."""
        end = time.monotonic() + seconds
        while text not in self.stderr and time.monotonic() < end:
            time.sleep(0.01)
        return text in self.stderr

    def ends_within(self, seconds: float) -> int:
        return self.process.wait(seconds)

    def close(self):
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a zombie nobody waits for is dead, too
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
