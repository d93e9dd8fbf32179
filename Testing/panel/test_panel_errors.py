"""Each error says what is wrong in one sentence and what to do in another."""

import ast
from pathlib import Path

import pytest
import sentences
from RRLMedSAMLib.messages import KILLED, LAUNCHERS_WORDS, processFailure
from RRLMedSAMLib.workerprocess import Broken

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *sentences.ENGINE,
    *sorted(sentences.MODULE.glob("RRLMedSAMLib/*.py")),
    ROOT / "run.py",
    *sorted((ROOT / "Testing" / "environment").glob("*.py")),
]


def found():
    """(place, code, what is wrong, what to do) of each error that is raised with literal texts; lists of templates."""
    for path in FILES:
        for name, function, call in sentences.calls(path, sentences.ERRORS):
            first = sentences.ERRORS[name]
            wrong, *action = (sentences.texts(each, function) for each in call.args[first : first + 2])
            if len(call.args) == first + 1 and name == "bad_model":
                continue  # it has an action of its own
            isHandedOn = action == [[]] and not isinstance(call.args[first + 1], ast.Constant)
            if not isHandedOn:
                yield f"{path.name}:{call.lineno}", ast.unparse(call.args[0]), wrong, action[0] if action else []


def test_each_says_what_to_do():
    errors = [error for error in found() if error[1] != "'cancelled'"]
    assert len(errors) > 80
    assert [place for place, _code, _wrong, action in errors if not action or not all(map(str.strip, action))] == []


def test_what_is_said_are_sentences():
    for place, _code, wrong, action in found():
        for text in filter(None, [*wrong, *action]):
            assert text.endswith((".", "{}")) and text.strip() == text, (place, text)


@pytest.mark.parametrize("kind", ["cannot_start", "died", "garbage", "hanging", "killed"])
@pytest.mark.parametrize("exitCode", [1, KILLED[0]])
def test_each_end_of_the_process_has_both(kind, exitCode):
    error = processFailure(Broken(kind, exitCode), 30.0)
    assert error.text.endswith(".") and error.action.endswith(".") and "{" not in str(error)


@pytest.mark.parametrize("kind", ["cannot_start", "died"])
def test_a_process_that_the_system_killed_is_not_to_be_reinstalled(kind):
    launchers = Broken(kind, 1, f"error: [/Slicer/bin/python-real] {LAUNCHERS_WORDS} - Report the problem.")
    for broken in (Broken(kind, KILLED[0]), launchers):
        assert "memory" in processFailure(broken, 30.0).text
    assert "memory" not in processFailure(Broken(kind, 1, "ImportError at worker.py:1"), 30.0).text
