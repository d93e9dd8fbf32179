"""Tiny packages for tests of what pip does."""

import os
import zipfile
from pathlib import Path


def wheel(folder, name, version="1.0", requires=(), modules=None):
    """A package as a wheel. ``modules``: their texts by path without an ending; one empty one, if not given."""
    path = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        **{f"{module}.py": text for module, text in (modules or {name: ""}).items()},
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(each, text)
    return path


def toyIndex(folder, monkeypatch):
    """From now on pip finds what is in this new folder alone: tinyone, which needs tinytwo, PyTorch and its finder."""
    finder = "from pip._internal.cli.main import main; print('found by', __name__)"
    folder.mkdir()
    wheel(folder, "tinyone", requires=["tinytwo"])
    wheel(folder, "tinytwo")
    wheel(folder, "torch", "2.5")
    wheel(folder, "light_the_torch", "0.8.1", modules={"light_the_torch/__init__": "", "light_the_torch/_cli": finder})
    wheel(folder, "pip", "25.0.1", modules={"no_pip_in_it": ""})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in (("CONFIG_FILE", os.devnull), ("NO_INDEX", "1"), ("FIND_LINKS", folder)):
        monkeypatch.setenv(f"PIP_{name}", str(value))
