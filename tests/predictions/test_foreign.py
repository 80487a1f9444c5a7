"""Logs and status files that somebody damaged or made up are one sentence, whatever they hold."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.adopted import kits_scores
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.predictions.foreign import foreign_run

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text("AB0,{[", max_size=4)
VALUES = st.recursive(SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text("ab", max_size=2), of))
NAMES = st.sampled_from(["doc_id", "doc", "target", "input", "resps", "filtered_resps", "index", "exact_match"])


@pytest.mark.slow
@given(lines=st.lists(st.dictionaries(NAMES, VALUES), min_size=1, max_size=4))
def test_a_log_of_any_content_is_read_or_refused(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("log") / "20251201_120000_samples_x.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with suppress(BadInput):
        assert len(read_predictions(path).predictions) <= len(lines)


@pytest.mark.slow
@given(status=VALUES, results=VALUES)
def test_files_beside_of_any_content_say_nothing_or_numbers_on_the_scale(tmp_path_factory, status, results):
    folder = tmp_path_factory.mktemp("run")
    name = "MedqbenchCaption_test"
    (folder / "status.json").write_text(json.dumps({"datasets": {name: status}}), encoding="utf-8")
    (folder / f"M_{name}_score.json").write_text(json.dumps(results), encoding="utf-8")
    (folder / "1_results.json").write_text(json.dumps({"results": results, "model_name": status}), encoding="utf-8")
    for file in (f"M_{name}.xlsx", "1_samples_a.jsonl"):
        found = foreign_run(folder / file)
        assert found is not None
        assert all(0 <= number <= 100 for number in found.numbers.values())
    assert foreign_run(folder / "M_MMBench.xlsx") is None


@given(cell=st.text('[]0123.,"e-N', max_size=8), listed=st.text('[]0123.,"e-N', max_size=8))
def test_scores_of_any_cell_are_a_list(cell, listed):
    row = {DIMENSIONS[0]: cell, f"{DIMENSIONS[0]}_scores": listed}
    assert isinstance(kits_scores(row, DIMENSIONS[0]), list)
    assert kits_scores({}, DIMENSIONS[0]) == []
    assert kits_scores({DIMENSIONS[0]: "[" * 30_000}, DIMENSIONS[0]) == ["[" * 30_000]
