"""The engine's sentences reach the user in the user's language: each is known to the translation, and looked up."""

import ast
import re

import pytest
import sentences
from RRLMedSAMLib import enginetexts
from RRLMedSAMLib.enginetexts import SENTENCES, translated

NO_LITERAL = {"error.action", "text", "action"}  # handed on from where they are literal


def said():
    """The engine's and the bundle's sentences, with {} for what is inserted."""
    names = {**sentences.ERRORS, **sentences.NOTES}
    for path in [*sentences.ENGINE, sentences.BUNDLE]:
        if path.name == "streams.py":
            continue  # its notes are for the log
        for name, function, call in sentences.calls(path, names):
            for argument in call.args[names[name] :]:
                found = sentences.texts(argument, function)
                assert found or ast.unparse(argument) in NO_LITERAL, f"{path.name}:{call.lineno}"
                yield from found
        yield from sentences.inherited(path)


def unnamed(template):
    return re.sub(r"\{\w*\}", "{}", template)


def test_the_translation_knows_each_sentence_and_no_others():
    all_ = {unnamed(text) for text in said()}
    known = {unnamed(text) for text in SENTENCES if text.endswith((".", "{text}"))}
    assert len(all_) > 80
    assert sorted(all_ - known) == [] and sorted(known - all_) == []


def test_the_extraction_finds_each_in_a_call_of_its_own():
    tree = ast.parse((sentences.MODULE / "RRLMedSAMLib" / "enginetexts.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "_"]
    marked = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    assert marked == SENTENCES and len(set(marked)) == len(marked)


@pytest.fixture
def german(monkeypatch):
    texts = {
        "The target": "Das Ziel",
        "target": "Ziels",
        "{what}: {text}": "{what}: {text}",
        "The file does not exist.": "Die Datei fehlt.",
        "{percent} % of the {what}'s voxels are not a number; they count as background.": "{percent} % des {what}",
        "{name} was left out. {text}": "{name} entfiel. {text}",
        "Scan {number}": "Bild {number}",
    }
    monkeypatch.setattr(enginetexts, "_", lambda text: texts.get(text, text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The file does not exist.", "Die Datei fehlt."),
        ("The target: The file does not exist.", "Das Ziel: Die Datei fehlt."),
        ("0.5 % of the target's voxels are not a number; they count as background.", "0.5 % des Ziels"),
        ("Scan 3 was left out. The file does not exist.", "Bild 3 entfiel. Die Datei fehlt."),
        ("A sentence that nobody knows.", "A sentence that nobody knows."),
        ("", ""),
    ],
)
def test_a_sentence_is_looked_up_with_what_is_inserted(german, text, shown):
    assert translated(text) == shown


def test_without_a_translation_each_sentence_stays_as_it_is():
    for template in SENTENCES:
        text = re.sub(r"\{\w+\}", "x y", template)
        assert translated(text) == text
