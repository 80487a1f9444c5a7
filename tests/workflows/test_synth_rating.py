"""Drawing images for readers, and calibrating to simulated readers whose thresholds the tests set."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medqbench_vlmeval.cli.main import main
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.calibration_tables import calibration_tables
from medqbench_vlmeval.synth.calibration import parameters_at, reach, read_strengths
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS
from medqbench_vlmeval.workflows.synth_rating import calibrate_to_readers, draw_image_ratings
from tests.workflows.synth_readers import KEYS, SOURCES, by_thresholds, drawn, export, key_of, small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    drawn(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "page"))


def test_a_draw_has_each_degradation_in_every_part_of_its_strengths(made: Path) -> None:
    images = key_of(made)["images"]
    # 12 of each of three; CT 24 / 6 = 4 undegraded, endoscopy 12 / 6 = 2.
    assert Counter(entry["degradation"] for entry in images.values()) == {**dict.fromkeys(KEYS, 12), "": 6}
    for key in KEYS:
        low, high = reach(DEGRADATIONS[key])
        places = sorted(entry["position"] for entry in images.values() if entry["degradation"] == key)
        assert [int((place - low) / (high - low) * 12 - 1e-9) for place in places] == list(range(12))
    by_source = Counter(entry["source"] for entry in images.values() if entry["degradation"] == "ct-ring")
    assert by_source == {"CT-secret-1": 6, "CT-secret-2": 6}
    assert list(images) == sorted(images)
    kinds = [entry["degradation"] for entry in images.values()]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)


@pytest.mark.parametrize("row", DEGRADATIONS.values(), ids=lambda row: row.key)
def test_every_degradation_goes_as_far_as_it_is_shown(row) -> None:
    picture = small(row.modality, 1)
    clean = picture.display().astype(float)
    apart = []
    for position in reach(row):
        at = replace(row, parameters=dict.fromkeys(("mild", "severe"), parameters_at(row, position)))
        degraded = at.degrade(picture, "mild", np.random.default_rng(5))
        assert np.isfinite(degraded.pixels).all()
        assert degraded.pixels.shape == picture.pixels.shape
        apart.append(np.square(degraded.display() - clean).mean())
    assert apart[1] > apart[0]


def test_the_page_tells_nothing_and_is_the_same_again(made: Path, tmp_path: Path) -> None:
    text = (made / "rating.html").read_text(encoding="utf-8")
    told = text.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(told)["items"][0].keys() == {"id", "task", "images"}
    for trace in ("secret", "ward", "photons"):
        assert trace not in text, trace
    for trace in ("position", "mild", '"degradation"', "0.42", ".png"):
        assert trace not in told, trace
    drawn(tmp_path / "again")
    assert (tmp_path / "again" / "rating.html").read_bytes() == (made / "rating.html").read_bytes()
    drawn(tmp_path / "other", seed=1)
    assert not set(key_of(tmp_path / "other")["images"]) & set(key_of(made)["images"])


def test_readers_with_known_thresholds_move_the_strengths_there(folder: Path) -> None:
    # Three simulated readers alike: 'good' below 0.2, 'reject' from 0.9 on; they name what they see, and see it then.
    exports = [export(folder, rater, by_thresholds(0.2, 0.9)) for rater in ("Ann", "Bo", "Cy")]
    found = calibrate_to_readers(folder, exports)
    assert (found.raters, found.n, found.n_images) == (("Ann", "Bo", "Cy"), 42, 42)
    assert [row.n for row in found.calibrated] == [36, 36, 36]
    for row in found.calibrated:
        low, high = reach(DEGRADATIONS[row.key])
        gap = (high - low) / 12 * 1.1  # no picture lies nearer to a threshold than that
        assert row.usable_from.value == pytest.approx(0.2, abs=gap)
        assert row.reject_from.value == pytest.approx(0.9, abs=gap)
    strengths = read_strengths(folder / "strengths.json")
    assert set(strengths) == set(KEYS)
    noise, before = strengths["ct-noise"], DEGRADATIONS["ct-noise"].parameters
    assert noise["severe"]["photons"] < before["severe"]["photons"] < noise["mild"]["photons"]
    assert noise["mild"]["photons"] < before["mild"]["photons"]
    assert (found.among.value, found.alpha.value) == (1.0, 1.0)
    assert 0.5 < found.with_simulator.value < 1
    positions = [entry["position"] for entry in key_of(folder)["images"].values() if entry["degradation"] == "ct-ring"]
    share = sum(position >= 0.2 for position in positions) / 12
    assert found.faults["ct-ring"].recall.value == pytest.approx(100 * share)
    assert found.faults["ct-ring"].precision.value == 100
    report = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    assert report["calibrated"][0]["after"] == strengths[report["calibrated"][0]["key"]]
    # The exports of CSV say the same.
    key = key_of(folder)
    lines = ["rating id,rater,page,reference mode,Quality,faults,comment,rated at"]
    for rating_id, entry in key["images"].items():
        mark = by_thresholds(0.2, 0.9)(entry)
        seen = entry["degradation"] if mark < 2 else ""
        lines.append(f'"{rating_id}","Cy","{key["page"]}","","{mark}","{seen}","","2026"')
    as_csv = folder / "cy.csv"
    as_csv.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    assert calibrate_to_readers(folder, [*exports[:2], as_csv]).to_json() == found.to_json()


def test_what_ratings_do_not_carry_stays_and_one_rater_is_enough(folder: Path) -> None:
    def mark(entry):
        if entry["degradation"] == "ct-noise":  # the stronger, the better
            return int(entry["position"] > 0.2) + int(entry["position"] > 0.9)
        if entry["degradation"] == "ct-ring":
            return None if entry["position"] > 0 else 1
        return by_thresholds(0.1, 0.8)(entry)

    found = calibrate_to_readers(folder, [export(folder, "Ann", mark, lambda entry, mark: "")])
    left = {row.key: row.left for row in found.calibrated}
    assert left["ct-noise"] == "ratings contradict the strengths (rank correlation gamma -1.00)"
    assert left["ct-ring"].endswith("ratings, at least 12 are needed")
    assert (left["en-haze"], set(found.strengths)) == ("", {"en-haze"})
    assert (found.among.value, found.alpha.value, found.faults["en-haze"].precision.value) == (None, None, None)
    shown = [part if isinstance(part, str) else part.title for part in calibration_tables(found)]
    assert shown[-3:-1] == ["Left as they are", "Faults seen"]
    assert shown[-1].startswith("Agreement of 1 rater, ")


def test_no_strength_that_moves_writes_no_strengths(folder: Path) -> None:
    (folder / "strengths.json").write_text("{}", encoding="utf-8")  # of earlier ratings
    found = calibrate_to_readers(folder, [export(folder, "Ann", lambda entry: 2)])
    assert not found.strengths
    assert (folder / "calibration.json").is_file()
    assert not (folder / "strengths.json").exists()
    assert found.with_simulator.value is None


def changed(folder: Path, row: int, **cells: object) -> Path:
    """An export with cells of one row (from 1) changed."""
    path = export(folder, "Dee", by_thresholds(0.2, 0.9))
    content = json.loads(path.read_text(encoding="utf-8"))
    content["ratings"][row - 1] |= cells
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"quality": 3}, "Dee.json, row 2, column 'quality': '3' is no rating"),
        ({"quality": float("nan")}, "Dee.json, row 2, column 'quality': 'NaN' is no rating"),
        ({"rating id": "I-0123456789"}, "row 2: the rating id 'I-0123456789' is not in"),
        ({"faults": "ct-ring no-such"}, "row 2: 'no-such' is no degradation of"),
    ],
)
def test_a_changed_export_is_refused(folder: Path, cells: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        calibrate_to_readers(folder, [changed(folder, 2, **cells)])
    assert words in str(refused.value)


def test_foreign_and_double_exports_are_refused(folder: Path, tmp_path: Path) -> None:
    ann = export(folder, "Ann", by_thresholds(0.2, 0.9))
    twice = tmp_path / "twice.json"
    shutil.copy(ann, twice)
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("index,Completeness\n1,2\n", encoding="utf-8")
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"format": "medqbench ratings 1", "ratings": []}), encoding="utf-8")
    for exports, words in (
        ([ann, twice], "twice.json, row 1: "),
        ([foreign], "foreign.csv: no column 'rating id'"),
        ([answers], "answers.json"),
        ([export(folder, "Bo", lambda entry: None)], "no image is rated yet"),
        ([export(folder, "Cy", lambda entry: 1, page="0123456789")], "Cy.json, row 1: a rating of page '0123456789'"),
        ([changed(folder, 2, **{"rating id": next(iter(key_of(folder)["images"]))})], "row 2: the rating id"),
    ):
        with pytest.raises(BadInput) as refused:
            calibrate_to_readers(folder, exports)
        assert words in str(refused.value), str(refused.value)


def test_keys_that_are_missing_or_changed_are_refused(folder: Path) -> None:
    ann = export(folder, "Ann", by_thresholds(0.2, 0.9))
    key = folder / "rating_key.json"
    content = key_of(folder)
    first = next(iter(content["images"]))
    for name, value in (("degradation", "no-such"), ("position", float("nan")), ("position", None), ("source", 3)):
        images = {**content["images"], first: {**content["images"][first], name: value}}
        key.write_text(json.dumps({**content, "images": images}), encoding="utf-8")
        with pytest.raises(BadInput, match="rating_key"):
            calibrate_to_readers(folder, [ann])
    key.unlink()
    with pytest.raises(BadInput, match="is no key of a rating page"):
        calibrate_to_readers(folder, [ann])


def test_draws_that_cannot_be_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="may hold somebody's work"):
        drawn(made)
    with pytest.raises(BadInput, match="no degradation 'ct-nose'"):
        draw_image_ratings(SOURCES, tmp_path, degradations=["ct-nose"])
    with pytest.raises(BadInput, match="nothing to rate"):
        draw_image_ratings(SOURCES[:1], tmp_path, degradations=["en-haze"])
    assert not list(tmp_path.iterdir())


def test_the_command_prints_tables_and_where_nothing_moves_ends_with_1(folder: Path, capsys) -> None:
    ann = export(folder, "Ann", by_thresholds(0.2, 0.9))
    for more, words in (((), "Strengths moved to the ratings of 1 rater, 42 of 42 images"), (("--json",), '"alpha"')):
        with pytest.raises(SystemExit) as end:
            main(["synth", "calibrate", str(folder), str(ann), *more])
        assert not end.value.code
        assert words in capsys.readouterr().out
    bo = export(folder, "Bo", lambda entry: 2)
    with pytest.raises(SystemExit) as end:
        main(["synth", "calibrate", str(folder), str(bo)])
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert "no picture is rated reject or usable" in printed.out
    assert "No degradation's ratings carry new strengths" in printed.err


def test_the_command_makes_a_page_of_a_folder_of_images(tmp_path: Path, capsys) -> None:
    for number, modality in enumerate(("Fundus", "Endoscopy", "Fundus")):
        (tmp_path / "images" / modality).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(small(modality, number).display())
        picture.resize((96, 96), Image.Resampling.BICUBIC).save(
            tmp_path / "images" / modality / f"patient-{number}.png"
        )
    (tmp_path / "images" / "notes.png").write_bytes(b"no image")
    words = ["synth", "rate", str(tmp_path / "images"), "--out", str(tmp_path / "page"), "--n", "4", "--workers", "1"]
    words += ["--degradation", "fu-haze", "--degradation", "en-haze"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "! notes.png" in printed
    # 4 of each and 4 / 6 of a picture for each modality, which is 1.
    assert "10 images of 3 sources, 2 undegraded; 2 faults" in printed
    assert "patient" not in (tmp_path / "page" / "rating_key.json").read_text(encoding="utf-8")
    assert "patient" not in (tmp_path / "page" / "rating.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main([*words[:-1], "en-haz"])
    assert end.value.code == 2
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main([*words[:4], str(tmp_path / "other"), *words[5:-1], "en-haz"])
    assert "no degradation 'en-haz'" in capsys.readouterr().err
