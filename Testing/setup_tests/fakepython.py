"""Stands for an interpreter and for what `python -m venv` and pip make of it, in a few files; see test_setup_run.py.

FAKE_PIP, a folder, may hold: `fails` (what pip prints before it fails), `no_torch` (there is no PyTorch to install),
`slow` (pip takes half a second). pip adds a line to its file `calls`.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


def main(arguments):
    behaviour = Path(os.environ["FAKE_PIP"])
    match [argument for argument in arguments if argument not in ("-u", "-I", "-S")]:
        case ["-c", _]:
            return 0
        case ["-m", "venv", folder]:
            return venv(Path(folder))
        case ["-m", "pip" | "light_the_torch", "install", *options]:
            return pip(behaviour, options)
        case ["-m", "pip" | "light_the_torch", "download", *options]:
            return download(behaviour, options)
        case [script, task, folder] if script.endswith("bundle.py"):
            return subprocess.run([sys.executable, script, task, folder]).returncode
        case ["-m", module, *rest]:
            print(module, *rest)
            print(os.getcwd(), os.environ["PYTHONPATH"], sep="\n")
            return 5
    return 1


def venv(folder):
    (folder / "bin").mkdir(parents=True)
    shutil.copy(sys.argv[0], folder / "bin" / "python")
    (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    return 0


def pip(behaviour, options):
    with open(behaviour / "calls", "a") as file:
        file.write(" ".join(options) + "\n")
    if (behaviour / "slow").exists():
        time.sleep(0.5)
    if (behaviour / "fails").exists():
        print((behaviour / "fails").read_text())
        return 1
    packages = Path(sys.argv[0]).parents[1] / "lib" / "python3.11" / "site-packages"
    if any(option.startswith("torch==") for option in options):
        if (behaviour / "no_torch").exists():
            return 1
        (packages / "torch-1.dist-info").mkdir()
        (packages / "torch-1.dist-info" / "RECORD").touch()
    else:
        (packages / "slicer_core").mkdir(exist_ok=True)
        (packages / "numpy").mkdir(exist_ok=True)
    return 0


def download(behaviour, options):
    with open(behaviour / "calls", "a") as file:
        file.write("download " + " ".join(options) + "\n")
    folder = Path(options[options.index("--dest") + 1])
    name = "torch-1" if options[-1].startswith("torch==") else len(list(folder.iterdir()))
    if name != "torch-1" or not (behaviour / "no_torch").exists():
        (folder / f"{name}.whl").write_text(" ".join(options))
    return 0  # as light-the-torch, which may fail without saying so


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
