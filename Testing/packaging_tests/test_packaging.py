"""What the extension index and a visitor of the repository see. The module's own file lists: test_panel_packaging."""

import re
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
VARIABLES = dict(re.findall(r'^set\((EXTENSION_\w+) "(.+)"\)', PROJECT, re.MULTILINE))
RAW = "https://raw.githubusercontent.com/RRLMedSAM/SlicerRRLMedSAM/main/"
ICON_SIZE = (128, 128)
LARGEST_PICTURE = 300_000  # bytes


def png_size(path):
    """(width, height)."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n"), f"{path.name} is no PNG"
    return struct.unpack(">II", head[16:])


def anchors(markdown):
    """The fragments by which a page's headings are linked."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_project_has_the_extensions_name_which_must_not_start_with_slicer():
    assert re.search(r"^project\((\w+)\)", PROJECT, re.MULTILINE).group(1) == "RRLMedSAM"


@pytest.mark.parametrize(
    "name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"]
)
def test_the_extension_index_finds_its_variables_on_one_line_in_quotes(name):
    assert VARIABLES[f"EXTENSION_{name}"].strip()


def test_the_build_goes_through_slicers_own_steps_in_their_order():
    steps = [
        "find_package(Slicer REQUIRED)",
        "include(${Slicer_USE_FILE})",
        "add_subdirectory(RRLMedSAM)",
        "include(${Slicer_EXTENSION_GENERATE_CONFIG})",
        "include(${Slicer_EXTENSION_CPACK})",
    ]
    positions = [PROJECT.index(step) for step in steps]
    assert positions == sorted(positions)


def test_the_pytorch_extension_comes_along():
    assert VARIABLES["EXTENSION_DEPENDS"].split() == ["PyTorch"]


def test_icon_and_screenshots_are_files_of_this_repository():
    urls = [VARIABLES["EXTENSION_ICONURL"], *VARIABLES["EXTENSION_SCREENSHOTURLS"].split()]
    assert len(urls) >= 2
    for url in urls:
        assert url.startswith(RAW)
        png_size(ROOT / url.removeprefix(RAW))


def test_the_icon_has_the_size_that_slicer_asks_for():
    icon = ROOT / "RRLMedSAM.png"
    assert png_size(icon) == ICON_SIZE
    assert icon.read_bytes() == (ROOT / "RRLMedSAM" / "Resources" / "Icons" / "RRLMedSAM.png").read_bytes()


def test_the_licence_is_apache_2_and_the_readme_says_so():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert "Apache 2.0" in README and "LICENSE" in README


def test_the_readmes_links_lead_somewhere():
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    assert links
    for link in links:
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        page = ROOT / path if path else ROOT / "README.md"
        assert page.exists(), link
        assert not fragment or fragment in anchors(page.read_text(encoding="utf-8")), link


def test_the_readme_shows_small_pictures():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)\s]+\.png)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < LARGEST_PICTURE, picture


def test_the_readme_says_what_the_extension_index_asks_for():
    for text in ("not a medical device", "2504.20501", "python3 run.py demo", "python3 run.py test"):
        assert text in README, text
