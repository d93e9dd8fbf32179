"""What the extension index and a visitor of the repository see. The module's own file lists: test_panel_packaging;
requirements, licence and size: test_setup_requirements.
"""

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
SOURCES = ("RRLMedSAM/RRLMedSAMLib", "RRLMedSAM/RRLMedSAMEngine", "Testing/demo", "Testing/environment")


def section(title):
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def source_text():
    """All strings of the programs as one, whether or not they are written on several lines."""
    text = "".join(path.read_text(encoding="utf-8") for folder in SOURCES for path in (ROOT / folder).glob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", text)


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


@pytest.mark.parametrize("name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"])
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


# ------------------------------------------------------------ the README


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
    assert len(pictures) >= 2
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < LARGEST_PICTURE, picture


@pytest.mark.parametrize("text", ["not a medical device", "2504.20501", "run.py demo", "run.py test", "Apache 2.0"])
def test_the_readme_says_what_the_extension_index_asks_for(text):
    assert text in README


def test_troubleshooting_quotes_messages_that_exist():
    source = source_text().replace("{role}", "target volume")
    messages = re.findall(r"^\| (.+?)(?: \(`run.py`\))? \|", section("Troubleshooting"), re.MULTILINE)[1:]
    messages = [message for message in messages if not message.startswith("---")]
    assert len(messages) > 10
    for message in messages:
        for part in re.split(r"\s*\(?\.\.\.\)?\s*", message):
            assert part.strip(".") in source, message


def test_options_and_exit_codes_are_those_of_the_command_line():
    source = (ROOT / "RRLMedSAM" / "RRLMedSAMEngine" / "cli.py").read_text(encoding="utf-8")
    options = set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', source))
    assert set(re.findall(r"^\| `(--[\w-]+)", section("Command line"), re.MULTILINE)) == options
    documented = set(re.findall(r"^  (\d+)  ", source.split('"""')[1], re.MULTILINE)) | {"143"}
    told = re.findall(r"^\| ([\d, ]+) \|", section("Command line"), re.MULTILINE)
    assert set(", ".join(told).split(", ")) == documented | {"9"}  # 9 is run.py's own


def test_the_demos_files_are_named():
    source = (ROOT / "Testing" / "demo" / "__main__.py").read_text(encoding="utf-8")
    written = set(re.findall(r'folder / "([\w.-]+)"', source)) - {"input"}
    assert written
    for name in written:
        assert f"`{name}`" in section("Try it: two commands"), name


def test_cmake_installs_every_model():
    text = (ROOT / "RRLMedSAM" / "CMakeLists.txt").read_text()
    models = sorted(path.name for path in (ROOT / "RRLMedSAM" / "Resources" / "Models").iterdir())
    assert models and sorted(re.findall(r"Resources/Models/(\S+)", text)) == models
