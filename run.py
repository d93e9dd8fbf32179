#!/usr/bin/env python3
"""Sets RRLMedSAM up in .venv beside this file, once, then runs one of its commands.

  python3 run.py demo [--help]      segments sample data in a MRML scene, writes the folder demo-output
  python3 run.py test [OPTIONS]     runs the tests; the options are pytest's
  python3 run.py segment --help     segments files
  python3 run.py adapt --help       adapts a model to an atlas with unlabelled scans
  python3 run.py benchmark --help   measures Dice and more on a folder of labelled scans
  python3 run.py panel [--help]     opens the module's panel in a window
  python3 run.py bundle FOLDER      downloads all packages into a folder, for computers without a network

  --python PATH    make .venv with this Python (3.10 or newer) instead of the one that runs this file
  --bundle FOLDER  make .venv from such a folder, without a network

RRLMEDSAM_VENV, where set, is the folder to use instead of .venv. The exit code is the command's; 9: the set-up
failed, 2: the command line is wrong, 7: the command needs PyTorch, which could not be installed.
"""

import errno
import os
import sys

if sys.version_info < (3, 10):  # the file must parse with old Pythons, so that they can say this
    sys.stderr.write(
        "run.py: RRLMedSAM needs Python 3.10 or newer, and this is Python %d.%d. Install a newer one and start with "
        "it, for example: python3.12 run.py demo\n" % sys.version_info[:2]
    )
    sys.exit(9)

ROOT = os.path.dirname(os.path.abspath(__file__))
ENGINE, TESTING = os.path.join(ROOT, "RRLMedSAM"), os.path.join(ROOT, "Testing")
sys.path[:0] = [TESTING, ENGINE]

from environment.folder import Environment  # noqa: E402
from environment.problem import NO_TORCH, USAGE, Problem, disk_full, say  # noqa: E402

MODULES = {
    "demo": "demo",
    "test": "pytest",
    "segment": "RRLMedSAMEngine.cli",
    "adapt": "RRLMedSAMEngine.adaptcli",
    "benchmark": "benchmarks",
    "panel": "host",
}
ENGINE_ALONE = ("segment", "adapt", "benchmark")  # need nothing of Slicer's


def take(rest, option):
    """The value of our own option, which is taken out of the arguments, or None."""
    for position, argument in enumerate(rest):
        if argument == option and position + 1 < len(rest):
            value = rest[position + 1]
            del rest[position : position + 2]
            return value
        if argument.startswith(option + "="):
            return rest.pop(position).split("=", 1)[1]
    return None


def parse(arguments):
    """(command, its arguments, interpreter or None, bundle or None)."""
    rest = list(arguments)
    python, bundle = take(rest, "--python"), take(rest, "--bundle")
    if not rest or rest[0] in ("-h", "--help"):
        sys.stdout.write(__doc__)
        sys.exit(0 if rest else USAGE)
    if rest[0] not in MODULES and rest[0] != "bundle":
        raise Problem("There is no command '{}'.".format(rest[0]), "Use " + ", ".join(MODULES) + ", bundle.", USAGE)
    if rest[0] == "bundle" and len(rest) != 2:
        raise Problem("The command bundle takes one folder.", "Give a new or empty one.", USAGE)
    return rest[0], rest[1:], python, bundle


def check_parts(environment, command):
    """What can be missing although the set-up went well."""
    if command not in ENGINE_ALONE and not environment.has("slicer_core"):
        raise Problem(
            "Slicer's libraries (slicer-core) have no build for this computer.",
            "Use the command segment, or a computer with Windows, Linux (x86-64) or macOS (Apple silicon).",
        )
    if environment.has_torch():
        return
    if command in ("test", "panel"):
        say("Note: PyTorch is missing: nothing can be segmented, and the tests that need it are skipped.")
    elif not environment.add_torch():
        raise Problem(
            "PyTorch could not be installed: no build for the CPU was found or could be downloaded for this Python.",
            "Choose another Python, for example --python python3.11, or install PyTorch yourself (several gigabytes "
            "on Linux): {} -m pip install torch=={}".format(environment.python, environment.torch_version),
            NO_TORCH,
        )


def run(environment, command, arguments):
    """Becomes the command where the system can do that, else waits for it and returns its exit code."""
    folders = [ENGINE] if MODULES[command].startswith("RRLMedSAMEngine") else [ENGINE, TESTING]
    variables = environment.variables(PYTHONPATH=os.pathsep.join(folders))
    if command == "test":
        os.chdir(ROOT)
    return environment.become(["-m", MODULES[command]] + arguments, variables)


def main(arguments):
    try:
        command, rest, python, bundle = parse(arguments)
        environment = Environment(ROOT)
        environment.set_up(python, bundle)
        if command == "bundle":
            environment.make_bundle(rest[0])
            say("The bundle is complete. Carry the folder over, and start there: run.py --bundle FOLDER demo")
            return 0
        check_parts(environment, command)
        return run(environment, command, rest)
    except Problem as problem:
        failure = problem
    except KeyboardInterrupt:
        say("Interrupted. An unfinished set-up begins anew at the next start.")
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            failure = disk_full()
        else:
            reason = "{} ({})".format(error.strerror or error, error.filename)
            failure = Problem("The set-up failed: " + reason + ".", "Check that this folder can be written to.")
    say("run.py: {}".format(failure))
    return failure.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
