"""What a visitor of the repository reads first. The extension's files and variables: test_setup_packaging."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LARGEST_PICTURE = 300_000  # bytes
SOURCES = ("RRLMedSAM/RRLMedSAMLib", "RRLMedSAM/RRLMedSAMEngine", "Testing/demo", "Testing/environment")


def section(title):
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def source_text():
    """All strings of the programs as one, whether or not they are written on several lines."""
    text = "".join(path.read_text(encoding="utf-8") for folder in SOURCES for path in (ROOT / folder).glob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_it_shows_small_pictures():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)\s]+\.png)\)", README)
    assert len(pictures) >= 2
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < LARGEST_PICTURE, picture


@pytest.mark.parametrize("text", ["not a medical device", "2504.20501", "run.py demo", "run.py test", "Apache 2.0"])
def test_it_says_what_the_extension_index_asks_for(text):
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
