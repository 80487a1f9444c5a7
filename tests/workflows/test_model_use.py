"""A run's record of its images in results, boards and lines of text; no kit is needed to read one."""

import json
from dataclasses import replace

import pytest

from medqbench_vlmeval.model_use import ImageUse, ModelUse, Spread
from medqbench_vlmeval.report.card import run_again, settings_facts
from medqbench_vlmeval.report.leaderboard.board import own_entries, rows_of
from medqbench_vlmeval.report.sentences import images_lines
from medqbench_vlmeval.workflows.evaluate import evaluate, request_for

KIT = {"image_bytes": "kit", "image_detail": "kit", "n": 2, "seen_in": {"request": 2}, "forms": {"JPEG q75": 2}}
KIT |= {"details": {"low": 2}, "n_lossy": 2, "bytes_sent": 900, "psnr": {"n": 2, "low": 20, "mean": 35.04, "high": 50}}
ORIGINAL = {**KIT, "image_bytes": "original", "forms": {"PNG": 2}, "details": {}, "n_same_bytes": 2, "n_lossy": 0}
ORIGINAL |= {"psnr": None}
HEAD = "index,question,A,B,answer,prediction\n"


def scored(folder, images, name="Model_custom", answer="A"):
    """A run with a record of its images beside its predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    path.write_text(f"{HEAD}1,Is it sharp?,Yes,No,A,{answer}\n", encoding="utf-8")
    if images is not None:
        use = {"name": "Model", "model_class": "m.Model", "generation": {"n": 1}, "n_calls": 2, "images": images}
        (folder / f"{name}_model.json").write_text(json.dumps(use), encoding="utf-8")
    board = folder.parent / "leaderboard"
    return evaluate(replace(request_for(path, folder / "results", model="Model"), leaderboard=board)).result


def test_two_ways_of_one_model_are_two_rows_and_only_the_kits_can_be_comparable(tmp_path):
    ways = enumerate((KIT, ORIGINAL, None))
    results = [scored(tmp_path / str(place), images, answer="AAB"[place]) for place, images in ways]
    reasons = ["; ".join(result.not_comparable_because) for result in results]
    assert ["images were sent" in reason for reason in reasons] == [False, True, False]
    assert "images were sent as 'original'" in reasons[1]
    entries = own_entries(tmp_path)
    # What is not on record was the kit's way: the third run is the first one's row again.
    assert sorted(str(entry.images) for entry in entries) == ["None", "original"]
    assert [len(entry.history) for entry in entries if entry.images is None] == [1]
    assert {row.images for rows in rows_of(entries).values() for row in rows if row.kind == "own"} == {None, "original"}


@pytest.mark.parametrize(
    ("changes", "way"),
    [
        ({}, "kit"),
        ({"image_bytes": "original"}, "original"),
        ({"image_bytes": "original", "image_detail": "high"}, "original, detail high"),
        ({"image_detail": "high"}, "detail high"),
        ({"image_detail": "high", "details": {}}, "kit"),  # an API without such a detail
        ({"image_bytes": "original", "seen_in": {"path": 2}, "details": {}}, "kit"),  # a model in this process
        ({"image_bytes": "mixed", "image_detail": "mixed"}, "mixed, detail mixed"),
    ],
)
def test_way(changes, way):
    assert ImageUse(**{**KIT, **changes}).way == way


def lines_of(tmp_path, **changes):
    result = scored(tmp_path / "run", {**KIT, **changes})
    return images_lines(result.tasks[0])


def test_lines_name_what_was_measured_and_the_option_that_avoids_it(tmp_path):
    first, second = lines_of(tmp_path)
    assert "2 of 2 were changed before the model saw them (JPEG q75): PSNR 35.0 dB on average, 20.0 at the" in first
    assert "--image-bytes original" in first
    assert "'low'; see --image-detail high" in second
    scale = {"n": 2, "low": 1, "mean": 8, "high": 15.3}
    changes = {
        "seen_in": {"processor": 2},
        "details": {},
        "psnr": None,
        "n_enlarged": 1,
        "scale": scale,
        "n_left_out": 3,
    }
    enlarged, left_out = lines_of(tmp_path, **changes)
    assert "1 were enlarged and 0 shrunk, to 1 to 15.3 times their pixels; an entry of the model's in" in enlarged
    assert "3 were never sent" in left_out
    changed, scaled, _ = lines_of(tmp_path, n_enlarged=1, scale=scale)
    assert ("--image-bytes" in changed, scaled.endswith("times their pixels")) == (True, True)
    (nowhere,) = lines_of(tmp_path, **{**ORIGINAL, "seen_in": {"nowhere": 2}})
    assert nowhere.startswith("images: 2 of 2 were sent by m.Model in a way that is not")
    assert lines_of(tmp_path, **ORIGINAL) == []


def test_cards_and_commands_name_the_way(tmp_path):
    result = scored(tmp_path / "run", {**ORIGINAL, "image_detail": "high", "details": {"high": 2}})
    facts = settings_facts(result.settings)
    assert facts["images"] == "2 PNG (request, detail 'high' 2); 2 of 2 the file's own bytes"
    assert facts["generation"] == "n: 1"
    named = replace(result, dataset="MedQBench_Perception")
    assert run_again(named).endswith("--model Model --image-bytes original --image-detail high")
    plain = scored(tmp_path / "other", None)
    assert settings_facts(plain.settings)["images"] == "how they were sent is not on record"


def test_a_record_that_cannot_be_read_is_none(tmp_path):
    result = scored(tmp_path / "run", {**KIT, "psnr": "loud"})
    assert result.settings.model_use is None
    assert isinstance(scored(tmp_path / "run", KIT).settings.model_use, ModelUse)
    assert scored(tmp_path / "run", KIT).settings.model_use.images.psnr == Spread(2, 20, 35.04, 50)
