"""What the build system packages, and what Slicer loads at start."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "RRLMedSAM"


def listed(variable):
    """The files in a CMake list of the module."""
    text = (MODULE / "CMakeLists.txt").read_text()
    body = re.search(rf"set\({variable}\s(.*?)\)", text, re.DOTALL).group(1)
    return sorted(body.replace("${MODULE_NAME}", "RRLMedSAM").split())


def present(*patterns):
    paths = (path for pattern in patterns for path in MODULE.glob(pattern))
    return sorted(path.relative_to(MODULE).as_posix() for path in paths if path.is_file())


def test_every_script_is_packaged():
    assert listed("MODULE_PYTHON_SCRIPTS") == present("*.py", "RRLMedSAMLib/**/*.py", "RRLMedSAMEngine/**/*.py")


def test_every_resource_is_packaged():
    assert listed("MODULE_PYTHON_RESOURCES") == present("Resources/**/*")


@pytest.mark.parametrize("module", ["logic", "models", "sceneoutput", "workerprocess"])
def test_slicers_process_never_imports_torch(module):
    heavy = "{'torch', 'RRLMedSAMEngine.pipeline'}"
    code = f"import sys, RRLMedSAMLib.{module}; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(MODULE)})


def test_files_stay_small():
    long = [path.name for path in MODULE.glob("RRLMedSAMLib/*.py") if len(path.read_text().splitlines()) > 250]
    assert not long
