"""The folder demo-output: replaced as a whole, and only where the demo made it."""

import contextlib
import shutil
import tempfile
from pathlib import Path

MARKER = "made-by-the-demo.txt"


class NotOurs(Exception):
    """The folder exists and was not made by the demo."""


def check(folder: Path):
    """Raises NotOurs."""
    if folder.exists() and not (folder / MARKER).exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise NotOurs()


@contextlib.contextmanager
def replacing(folder: Path):
    """A new folder that takes the place of ``folder`` when the block ends well. Raises NotOurs."""
    check(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        (temporary / MARKER).write_text("Made by `run.py demo`, which replaces this folder.\n", encoding="utf-8")
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
