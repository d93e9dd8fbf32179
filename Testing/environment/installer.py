"""pip, run in the environment, and which build of PyTorch to take."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile

from RRLMedSAMLib import pipcauses
from RRLMedSAMLib.torchfinder import FINDER

from .problem import Problem, disk_full, say

IS_INTEL_MAC = sys.platform == "darwin" and platform.machine() == "x86_64"
TORCH_VERSION = "2.2.2" if IS_INTEL_MAC else "2.13.0"  # 2.2.2 is the last one for Macs with Intel processors
OPTIONS = ["--only-binary", ":all:", "--retries", "2", "--progress-bar", "off", "--no-input"]
SHOWN = ("Downloading", "Using cached", "Installing")
TEXTS = {  # by cause: what is wrong, what to do
    pipcauses.CERTIFICATE: (
        "The network inspects encrypted connections, and its certificate is not known to Python.",
        "Ask your IT department for the certificate's file and set PIP_CERT to it, then start again.",
    ),
    pipcauses.PROXY_PASSWORD: (
        "The network's proxy asks for a password.",
        "Set HTTPS_PROXY to http://user:password@proxy:port, then start again.",
    ),
    pipcauses.PROXY: ("The network's proxy does not answer.", "Check the variable HTTPS_PROXY, then start again."),
    pipcauses.NETWORK: (
        "The packages could not be downloaded: the network does not answer.",
        "Connect to the internet (behind a proxy set HTTPS_PROXY), or use an offline bundle (--bundle FOLDER).",
    ),
}


class InstallFailed(Problem):
    """``output``: what pip or venv printed; ``log``: where it is kept."""

    def __init__(self, output, log):
        self.cause = pipcauses.causeOf(output)
        super().__init__(*self._explain(output, log))

    def _explain(self, output, log):
        if self.cause == pipcauses.DISK_FULL:
            problem = disk_full()
            return problem.text, problem.action
        reason = pipcauses.lastError(output) or "no reason given"
        unknown = f"The packages could not be installed: {reason}.", f"See {log}; another --python PATH may help."
        return TEXTS.get(self.cause, unknown)


def pip(python, log, arguments, module="pip", variables=None, verb="install"):
    """Installs, or downloads, with the environment's pip; tells its steps, keeps all of its output in ``log``.

    Raises InstallFailed.
    """
    command = [python, "-u", "-m", module, verb, *OPTIONS, *arguments]
    lines = []
    with (
        open(log, "a", encoding="utf-8") as kept,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, encoding="utf-8", errors="replace"
        ) as process,
    ):
        for line in process.stdout:
            kept.write(line)
            lines.append(line)
            if line.lstrip().startswith(SHOWN) and ".metadata" not in line:
                say("  " + line.strip()[:110])
    if process.returncode:
        raise InstallFailed("".join(lines), log)


def get_torch(python, log, variables, options=(), verb="install"):
    """Tries to install, or download, PyTorch, on Linux without an NVIDIA driver its CPU build.

    What plain pip takes on Linux is the CUDA build, several gigabytes: never without a driver. ``options``: pip's, in
    addition. Raises `InstallFailed` only where the disk is full.
    """
    how = {"variables": variables, "verb": verb}
    if sys.platform != "linux" or has_nvidia_driver() or "--no-index" in options:
        attempts = [lambda: pip(python, log, [*options, f"torch=={TORCH_VERSION}"], **how)]
    else:
        attempts = [
            # Where pip's configuration offers CPU builds.
            lambda: pip(python, log, [*options, f"torch=={TORCH_VERSION}+cpu"], **how),
            lambda: _find_cpu_torch(python, log, options, **how),
        ]
    for attempt in attempts:
        try:
            attempt()
            return
        except InstallFailed as error:
            if error.cause == pipcauses.DISK_FULL:
                raise


def has_nvidia_driver():
    return bool(shutil.which("nvidia-smi")) or os.path.exists("/proc/driver/nvidia/version")


def _find_cpu_torch(python, log, options, variables, verb):
    """With light-the-torch, which is not kept. It may fail without saying so."""
    with tempfile.TemporaryDirectory(prefix="rrlmedsam-") as folder:
        pip(python, log, ["--target", folder, *FINDER], variables=variables)
        options = [*options, "--pytorch-computation-backend=cpu", f"torch=={TORCH_VERSION}"]
        pip(python, log, options, "light_the_torch", {**variables, "PYTHONPATH": folder}, verb)
