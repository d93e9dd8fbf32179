"""One target from its file to the files of its result: what the command line and the worker share."""

import dataclasses
import time
from pathlib import Path

from . import memory, pipeline, results, summary
from .errors import Cancelled, EngineError
from .failures import read_named
from .image import Volume, read_volume
from .segfile import Structure


@dataclasses.dataclass(frozen=True, eq=False)
class FileJob:
    """An atlas that is carried to one file after the other; ``structures``: what its label values stand for."""

    atlas: Volume
    labels: Volume
    structures: list[Structure]
    settings: pipeline.Settings
    overwrite: bool = False

    def run(self, path, folder: Path, *, progress, warn, cancelled) -> dict:
        """Segments the target at ``path`` into a new ``folder``; returns the report. Raises EngineError.

        ``progress``, ``warn``, ``cancelled``: as in `pipeline.segment`.
        """

        def check():
            if cancelled():
                raise Cancelled()

        check()
        memory.reset_peak()
        with results.appearing(folder, self.overwrite) as temporary:
            started = time.monotonic()
            target = read_named(read_volume, path, "The target")
            reading = time.monotonic() - started
            result = pipeline.segment(
                self.atlas, [self.labels], target, self.settings, progress=progress, warn=warn, cancelled=cancelled
            )
            result.report["seconds"]["read"] = round(result.report["seconds"]["read"] + reading, 2)
            progress("write", 1.0, None)
            names = {structure.label: structure.name for structure in self.structures}
            for row in result.report["structures"]:
                row["name"] = names[row["label"]]
            results.write(temporary, result, self.atlas, target, self.structures, check)
            check()
        try:
            summary.add(folder.parent / summary.FILE, folder.name, result.report)
        except EngineError as error:  # the result is whole without it; the table may be open in Excel
            warn(f"{summary.FILE} lacks this target. {error}")
        return result.report
