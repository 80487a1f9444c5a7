"""Files that the kit's own classes really write, in the kit's own runner, are imported."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.kit.runner import run
from tests.commands import run as command
from tests.kit.runs import forget_keys
from tests.servers import JudgeServer
from tests.workflows.test_import import choice_rows, read_changes, write_choices

CLASSES = {
    "MedqbenchMCQ_test": ("MedqbenchMCQDataset", "medqbench_QA_mini.tsv"),
    "MedqbenchCaption_test": ("MedqbenchCaptionDataset", "medqbench_description_mini.tsv"),
    "MedqbenchPairedDescription_test": ("MedqbenchPairedDescriptionDataset", "medqbench_paired_description_mini.tsv"),
}
SAID = ("Score: 2", "Score: 0", "Score: 1.5", "Score: 2", "Score: 0")


def data_of(folder, name, n=3):
    """The first rows of an embedded file, with whole paths of its images: the kit's classes look beside the data."""
    with (embedded_folder() / name).open(encoding="utf-8", newline="") as source:
        rows = [row for row, _ in zip(csv.DictReader(source, delimiter="\t"), range(n), strict=False)]
    for row in rows:
        paths = json.loads(row["image_path"]) if row["image_path"].startswith("[") else [row["image_path"]]
        whole = [str(embedded_folder() / path) for path in paths]
        row["image_path"] = json.dumps(whole) if len(whole) > 1 else whole[0]
    with (folder / name).open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, rows[0], delimiter="\t")
        table.writeheader()
        table.writerows(rows)
    return str(folder / name)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["xlsx", "tsv"])
def test_a_work_folder_of_the_kits_own_classes_is_imported(kit, work, tmp_path, monkeypatch, capsys, suffix):
    forget_keys(monkeypatch)
    monkeypatch.setenv("PRED_FORMAT", suffix)
    data = {
        name: {"class": of, "dataset": name, "data_path": data_of(tmp_path, file)}
        for name, (of, file) in CLASSES.items()
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": {"MedQ-Chance": {}}, "data": data}))
    said = iter(SAID * 20)
    with JudgeServer(lambda _: next(said)) as server:
        options = ["--config", str(config), "--work-dir", str(work), "--judge", "gpt-4o", "--judge-key", "sk-test"]
        options += ["--judge-base-url", server.base_url, "--judge-args", json.dumps({"sleep": 0, "retry": 1})]
        assert run(options) == 0
        n_asked = len(server.requests)
        before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
        capsys.readouterr()
        code, out, err = command(capsys, "import", work, "--out", tmp_path / "imported", "--json")
        assert len(server.requests) == n_asked, "nobody was asked again"
    assert code == 0, err
    assert before == {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    imported = {of["dataset"]: of for of in json.loads(out)["imported"]}
    assert len(imported) == 3
    for name, of in imported.items():
        assert (of["model"], of["comparable"]) == ("MedQ-Chance", "no")
        if "Reasoning" in name:
            # The kit's means hold 1.5 for a verdict; ours leave it out.
            assert 0 < of["theirs"]["Completeness"] <= 2
            assert any("the kit took 1.5 for a verdict" in why for why in of["reasons"])
    for path in (tmp_path / "imported").rglob("*Reasoning*_score.json"):
        assert json.loads(path.read_text("utf-8"))["settings"]["judge"]["name"] == "gpt-4o (kit's own class)"
    if suffix == "tsv":
        assert all("pickle" in why for why in json.loads(out)["passed_over"].values())


@pytest.mark.slow
def test_our_account_of_the_kits_letters_is_the_kits_own(kit, tmp_path, capsys):
    own = kit.MedqbenchMCQDataset
    path = write_choices(tmp_path)
    _, out, _ = command(capsys, "score", path, "--out", tmp_path / "scored", "--json")
    theirs = {change["index"]: change["theirs"] for change in json.loads(out)["changes"]}
    letters = {str(index): own._extract_option_letter(None, reply) for index, (*_, reply) in enumerate(choice_rows())}
    assert {
        index: letter if len(letter) == 1 else "none" for index, letter in letters.items() if index in theirs
    } == theirs
    assert json.loads(out)["theirs"]["Overall"] == 100 * object.__new__(own).evaluate(str(path))["overall_accuracy"]
    assert len(read_changes(tmp_path / "scored")) == len(theirs)


@pytest.mark.slow
@settings(max_examples=300)
@given(reply=st.text(st.sampled_from("ABCDEabcde .,:()-*\nisoanwßéΑ1")))
def test_the_kit_takes_the_first_letter_that_stands_alone(kit, reply):
    from medqbench_vlmeval.scoring.changes import kits_letter

    letter = kit.MedqbenchMCQDataset._extract_option_letter(None, reply)
    assert kits_letter(reply, "A-D") == (letter if letter in list("ABCD") else None)
