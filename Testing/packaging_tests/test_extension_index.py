"""What the extension index's own programs check of a submission, and the points of its list that a program can check.

The index runs its checks on the file RRLMedSAM.json, which is submitted to it, and on a clone of this repository.
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "RRLMedSAM.json"
METADATA = json.loads(ENTRY.read_text(encoding="utf-8"))
PROJECT = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
KINDS = {  # of the schema's members that are used here; it allows no others
    "$schema": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "category": str,
    "scm_revision": str,
    "scm_url": str,
    "tier": int,
}
LICENCE_NAMES = ("LICENSE", "LICENCE", "License.txt", "license.txt", "LICENSE.txt", "COPYING", "COPYING.txt")
LARGEST_CLONE = 60e6  # bytes, with the history; each model trained anew adds up to 7 MB to it, and the index takes 100
AT_FILE_SCOPE = {"ctk", "numpy", "qt", "scipy", "SimpleITK", "slicer", "vtk", "RRLMedSAMEngine", "RRLMedSAMLib"}
DANGEROUS = {"exec", "eval", "pip_install", "pip_uninstall", "pip_ensure", "installTorch"}


def variable(name):
    """As the index reads it: in the top folder's file, in quotes, on one line."""
    return re.search(rf'set\s*\({name}\s*"([^"]+)"[ ]*\)', PROJECT).group(1)


# ------------------------------------------------------------ the entry


def test_the_entry_has_the_schemas_members_and_no_others():
    assert METADATA["$schema"] == SCHEMA
    assert {name: type(value) for name, value in METADATA.items()} == KINDS


def test_the_entry_is_utf8_with_unix_line_ends():
    content = ENTRY.read_bytes()
    content.decode("utf-8")
    assert b"\r" not in content and content.endswith(b"}\n")


def test_the_extension_is_named_alike_everywhere_and_its_repository_after_it():
    name = re.findall(r"project\s*\(\s*([^\s\)\n\r]+)", PROJECT)[0]
    assert name == ENTRY.stem and not name.lower().startswith("slicer")
    assert README.startswith(f"# {name}")
    address = urlsplit(METADATA["scm_url"])
    assert address.scheme == "https" and address.path.split("/")[-1] == f"Slicer{name}"
    assert variable("EXTENSION_HOMEPAGE") == METADATA["scm_url"]


def test_category_tier_and_revision_are_what_the_index_takes():
    assert METADATA["category"] == "Segmentation" and METADATA["tier"] in (1, 3, 5)
    assert METADATA["build_subdirectory"] == "."
    assert not re.fullmatch(r"[0-9a-f]{7,40}", METADATA["scm_revision"])  # a branch: an update needs no new entry


def test_entry_and_build_ask_for_the_same_extensions():
    assert variable("EXTENSION_DEPENDS").split() == METADATA["build_dependencies"]


def test_the_pictures_addresses_are_those_of_the_entrys_branch():
    owner, repository = urlsplit(METADATA["scm_url"]).path.strip("/").split("/")
    start = f"https://raw.githubusercontent.com/{owner}/{repository}/{METADATA['scm_revision']}/"
    for address in [variable("EXTENSION_ICONURL"), *variable("EXTENSION_SCREENSHOTURLS").split()]:
        assert address.startswith(start) and address.endswith(".png")


# ------------------------------------------------------------ the repository


def test_the_licence_lies_in_the_top_folder_and_is_named_on_the_homepage():
    assert any((ROOT / name).is_file() for name in LICENCE_NAMES)
    assert re.search(r"^## Licen[cs]e\n\n\[Apache 2\.0\]\(LICENSE\)", README, re.MULTILINE)


def test_the_homepage_has_what_a_visitor_looks_for():
    start = README[:1500]
    assert re.search(r"!\[[^\]]+\]\(docs/pictures/\w+\.png\)", start), "a picture at the top"
    description = variable("EXTENSION_DESCRIPTION")
    assert "not a medical device" in start and "not a medical device" in description
    assert "https://arxiv.org/abs/2504.20501" in README, "the publication"
    assert "SampleData" in README or "Sample Data" in README, "the tutorial's data"


def test_the_citation_is_of_this_version_and_of_the_paper():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    engine = (ROOT / "RRLMedSAM" / "RRLMedSAMEngine" / "__init__.py").read_text(encoding="utf-8")
    assert re.search(r'__version__ = "(.+)"', engine).group(1) == re.search(r"^version: (.+)$", citation, re.M).group(1)
    assert citation.startswith("cff-version: 1.2.0\n") and "https://arxiv.org/abs/2504.20501" in citation
    assert f"repository-code: {METADATA['scm_url']}\n" in citation


def test_a_clone_stays_small():
    git = ["git", "-C", str(ROOT)]
    if subprocess.run([*git, "rev-parse", "--git-dir"], capture_output=True).returncode:
        pytest.skip("this copy of the repository has no history")
    # As a clone gets it: what has not been packed here yet takes more.
    pack = [*git, "pack-objects", "--revs", "--stdout", "-q"]
    history = subprocess.run(pack, input=b"HEAD", capture_output=True, check=True)
    files = subprocess.run([*git, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    size = len(history.stdout) + sum((ROOT / name).stat().st_size for name in files if (ROOT / name).is_file())
    assert size < LARGEST_CLONE


def test_no_file_is_a_program_or_an_archive():
    allowed = {".rrl", ".py", ".md", ".txt", ".json", ".png", ".ui", ".toml", ".cff", ".gitignore", "LICENSE", "run"}
    hidden = (".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", "demo-output")
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not any(part.startswith(hidden) and part != ".gitignore" for part in parts):
            assert (path.suffix or path.name) in allowed, path


# ------------------------------------------------------------ the code


def module_files():
    return sorted(p for p in (ROOT / "RRLMedSAM").glob("RRLMedSAM*.py")) + sorted(
        (ROOT / "RRLMedSAM" / "RRLMedSAMLib").glob("*.py")
    )


def top_level(tree):
    """The statements that run when the file is loaded."""
    for statement in tree.body:
        if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            yield from ast.walk(statement)


@pytest.mark.parametrize("path", module_files(), ids=lambda path: path.name)
def test_loading_the_module_imports_only_what_slicer_brings_and_installs_nothing(path):
    for node in top_level(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            assert top in AT_FILE_SCOPE or top in sys.stdlib_module_names, name
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in DANGEROUS, called


def test_torch_is_never_installed_by_plain_pip():
    for path in module_files():
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"pip_(install|ensure).*torch", line), f"{path.name}: {line}"
    requirements = (ROOT / "RRLMedSAM" / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    assert not re.search(r"^torch", requirements, re.MULTILINE)


def test_large_downloads_are_announced_with_a_way_to_delete_them():
    install = README.split("## Install")[1].split("\n## ")[0]
    assert "3 GB" in install and "uninstall" in install
