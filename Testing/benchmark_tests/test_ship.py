"""The figures on a shipped model's card are those that the benchmark measured."""

import json

import pytest

pytest.importorskip("torch", reason="PyTorch is missing")

from benchmarks import ship  # noqa: E402

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def results(tmp_path):
    def write(**dice):
        path = tmp_path / "results.json"
        rows = [{"method": method, "dice": each} for method, values in dice.items() for each in values]
        path.write_text(json.dumps({"effort": "fast", "data": "brains", "rows": rows}))
        return path

    return write


def test_the_card_has_both_means_and_the_number_of_cases(results):
    found = ship.figures([results(instant=[0.7, 0.8], mine=[0.75, 0.85], other=[0.1])], {"mine"})
    assert found == {"fast": {"brains": {"cases": 2, "dice": 0.8, "dice_instant": 0.75}}}


def test_results_of_another_model_are_no_figures(results):
    with pytest.raises(ValueError, match="no results of the instant form beside one of mine"):
        ship.figures([results(instant=[0.7], other=[0.8])], {"mine"})
