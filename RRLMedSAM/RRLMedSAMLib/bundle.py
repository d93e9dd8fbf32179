"""A folder of packages for computers without a network: ``wheels/`` and ``bundle.json`` with their SHA-256.

Standard library only: the panel, `run.py` and a process of its own use it:

  python bundle.py download FOLDER REQUIREMENT...   fetches the packages for this Python and seals the bundle; of
                                                    PyTorch the build for the processor, which runs everywhere,
                                                    and NumPy 1 with one that needs it
  python bundle.py install FOLDER REQUIREMENT...    checks the bundle and installs from it, without a network
  python bundle.py seal FOLDER                      writes the list of the packages that are there, for this Python
  python bundle.py check FOLDER                     checks them, and that they are for this Python

Exit code 3: the bundle cannot be used; the last line says why.
"""

import hashlib
import json
import os
import re
import sys
import sysconfig

if not __package__:  # this file itself is started
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from RRLMedSAMLib.torchfinder import find, pip  # noqa: E402

INDEX, WHEELS = "bundle.json", "wheels"
VERSION = 2  # 1 had no NumPy for the PyTorch of Macs
UNUSABLE = 3
NUMPY_1 = "numpy==1.26.4"  # its last, for Python up to 3.12: so is the last PyTorch that was built for it


class BundleError(Exception):
    """What is wrong in one sentence, what to do in another."""

    def __init__(self, text, action):
        super().__init__(f"{text} {action}")
        self.text, self.action = text, action


def wheels(folder):
    return os.path.join(folder, WHEELS)


def here():
    """What wheels for this Python are made for."""
    return {"python": "{}.{}".format(*sys.version_info), "platform": sysconfig.get_platform()}


def seal(folder, made_for=None):
    """Writes down which files the bundle has, and for which Python (`here` by default)."""
    files = {name: _digest(os.path.join(wheels(folder), name)) for name in sorted(os.listdir(wheels(folder)))}
    content = {"version": VERSION, **(made_for or here()), "files": files}
    part = os.path.join(folder, INDEX + ".part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    os.replace(part, os.path.join(folder, INDEX))


def check(folder, needed=None):
    """Raises BundleError unless the bundle is whole and made for this Python, or for the ``needed`` one."""
    make_anew = "Create the bundle again, and copy all of its folder."
    try:
        with open(os.path.join(folder, INDEX), encoding="utf-8") as file:
            content = json.load(file)
        files, made_for = content["files"], {key: content[key] for key in here()}
        known = content["version"] == VERSION and bool(files)
    except OSError as error:
        raise BundleError("The folder is no bundle: it has no bundle.json.", "Choose the bundle's folder.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError("The bundle's list of files is damaged.", make_anew) from error
    if not known:
        raise BundleError("The bundle was made by another version of the extension.", make_anew)
    needed = needed or here()
    if made_for != needed:
        raise BundleError(
            "The bundle was made for Python {python} on {platform}".format(**made_for)
            + ", and this is Python {python} on {platform}.".format(**needed),
            "Create it on a computer like this one.",
        )
    for name, digest in files.items():
        path = os.path.join(wheels(folder), os.path.basename(name))
        if not os.path.isfile(path):
            raise BundleError(f"The bundle lacks the file {name}.", make_anew)
        if _digest(path) != digest:
            raise BundleError(f"The bundle's file {name} is damaged.", make_anew)


def options(folder):
    """pip's, with which it takes packages from the bundle alone."""
    return ["--no-index", "--find-links", wheels(folder)]


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _download(folder, requirements):
    """Returns pip's exit code. What plain pip takes as PyTorch on Linux is the CUDA build, several gigabytes."""
    into = ["--only-binary", ":all:", "--dest", wheels(folder)]
    torch = [each for each in requirements if re.match(r"torch\b", each)]
    code = pip("download", *into, *(each for each in requirements if each not in torch))
    if code or not torch:
        return code
    code = find("download", *into, *torch, near=folder)
    needs_numpy_1 = any(re.match(r"torch-2\.[0-2]\.", name) for name in os.listdir(wheels(folder)))
    return code or (pip("download", *into, "--no-deps", NUMPY_1) if needs_numpy_1 else 0)


def main(arguments):
    if len(arguments) < 2 or arguments[0] not in ("download", "install", "seal", "check"):
        print(__doc__)
        return 2
    task, folder, requirements = arguments[0], arguments[1], arguments[2:]
    code = 0
    try:
        if task == "download":
            os.makedirs(wheels(folder), exist_ok=True)
            code = _download(folder, requirements)
        if task in ("install", "check"):
            check(folder)
        if task == "install":
            code = pip("install", *options(folder), *requirements)
        if task in ("download", "seal") and code == 0:
            seal(folder)
        return code
    except BundleError as error:
        problem = error
    except OSError as error:
        text = f"The bundle's folder cannot be used: {error.strerror}."
        problem = BundleError(text, "Free some space there, or choose another folder.")
    print(problem, flush=True)
    return UNUSABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
