"""'medqbench agreement' as a user meets it."""

import json

import pytest

from medqbench_vlmeval.files import sha256_of
from tests.commands import run
from tests.make import write_reasoning
from tests.servers import JudgeServer
from tests.workflows.ratings import HEADER, fill, rated, write_run, write_table


@pytest.fixture
def verdicts(tmp_path):
    rows = [rated("1"), rated("2", (1, 1, 1, 0)), rated("3", (0, 2, 1, 2)), rated("4", (1, 2, 2, 1))]
    return write_run(tmp_path / "runs", rows)


@pytest.fixture
def human(tmp_path):
    # Completeness: judge 2, 1, 0, 1 and people 2, 1, 1, 1.
    rows = [("1", 2, 2, 2, 2), ("2", 1, 1, 1, 0), ("3", 1, 2, 1, 2), ("4", 1, 2, 2, 1)]
    return write_table(tmp_path / "human.csv", HEADER, rows)


def test_a_table_in_the_terminal(capsys, verdicts, human):
    code, out, err = run(capsys, "agreement", verdicts, human)
    assert (code, err) == (0, "")
    # Mean square difference 1/4; by chance 6/4 + 7/4 - 2 * 1 * 5/4 = 3/4.
    line = next(line for line in out.splitlines() if line.startswith("Completeness"))
    assert line.split()[:3] == ["Completeness", "4", "75.0"]
    assert " 0.667 " in line
    assert "-0.250" in line
    assert "Published: 83.3-90.5% and kappa 0.774-0.985 (GPT-4o against three radiologists on 200 cases)." in out


def test_json_and_files(capsys, verdicts, human, tmp_path):
    before = sha256_of(verdicts), sha256_of(human)
    code, out, _ = run(capsys, "agreement", "--json", verdicts, human, "--out", tmp_path / "out")
    result = json.loads(out)
    assert code == 0
    assert result["dimensions"]["Completeness"]["kappa"] == pytest.approx(2 / 3)
    assert result["verdicts"][0]["judge"] == "judge-1"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["agreement.json", "agreement.xlsx"]
    assert (sha256_of(verdicts), sha256_of(human)) == before
    _, again, _ = run(capsys, "agreement", "compare", verdicts.parent, human, "--json")
    assert json.loads(again) == result


def test_a_sheet_is_drawn_filled_and_compared(capsys, verdicts, tmp_path):
    sheet = tmp_path / "ratings.xlsx"
    code, out, err = run(capsys, "agreement", "sample", verdicts.parent, "--n", 3, "--out", sheet, "--seed", 2)
    assert (code, err) == (0, "")
    assert "3 of 4 judged answers" in out
    ids = json.loads((tmp_path / "ratings_key.json").read_text(encoding="utf-8"))["ratings"]
    fill(sheet, sheet, dict.fromkeys(ids, (2, 2, 2, 2)))
    code, out, _ = run(capsys, "agreement", verdicts, sheet)
    assert code == 0
    assert "against ratings, 3 answers" in out
    code, _, err = run(capsys, "agreement", "sample", verdicts, "--out", sheet)
    assert code == 2
    assert "there already" in err
    other = tmp_path / "other.xlsx"
    _, out, _ = run(capsys, "agreement", "sample", verdicts, "--n", 3, "--out", other, "--json")
    result = json.loads(out)
    assert (result["sheet"], result["page"], result["key"]) == (str(other), None, str(tmp_path / "other_key.json"))
    assert result["strata"] == 1
    code, out, _ = run(capsys, "agreement", "sample", verdicts, "--html", tmp_path / "p.html", "--reference", "after")
    assert (code, out.splitlines()[-1]) == (
        0,
        f"{tmp_path / 'p_key.json'} for you alone: it says whose the answers are",
    )
    assert "p.html for the raters, 0." in out
    assert "4 answers lack an image on it: 'medqbench score --data FILE' keeps them" in out
    assert (result["n"], result["n_eligible"], result["n_too_long"], result["n_not_judged"]) == (3, 4, 0, 0)


def test_two_raters_and_several_judges_in_the_terminal(capsys, verdicts, human, tmp_path):
    rows = [("1", 1, 2, 2, 2), ("2", 1, 1, 1, 0), ("3", 1, 2, 1, 2), ("4", 1, 2, 2, 1)]
    second = write_table(tmp_path / "bo.csv", HEADER, rows)
    _, out, _ = run(capsys, "agreement", verdicts, human, second)
    (line,) = [line for line in out.splitlines() if line.startswith("the judge / human")]
    assert line.split()[4:6] == ["75.0,", "0.667"]
    assert "human / bo" in out
    assert "! raters' median between two marks, which no whole verdict equals: Completeness 1" in out
    assert "several judges" not in out
    write_run(verdicts.parent, [rated("x")], model="Model-Y", judge="judge-2")
    table = write_table(tmp_path / "more.csv", HEADER, [*rows, ("x", 2, 2, 2, 2)])
    _, out, _ = run(capsys, "agreement", verdicts.parent, table)
    assert out.startswith("Judge judge-1 (rubric), judge-2 (rubric) on Model-X, Model-Y against more, 5 answers")
    assert "! the verdicts are of several judges or protocols, taken together" in out


def test_drift_speaks_of_a_first_and_a_second_judge(capsys, verdicts, tmp_path):
    later = [rated("1", (1, 2, 2, 2)), rated("2", (None, 1, 1, 0)), *map(rated, "34")]
    _, out, _ = run(capsys, "agreement", verdicts, write_run(tmp_path / "later", later, judge="judge-2"))
    assert "against judge judge-2 (rubric), 4 answers" in out
    assert "! bias is the mean of the first less that of the second" in out
    assert "! without a verdict of the second: Completeness 1" in out
    assert "rate" not in out
    assert "Published" not in out


def test_help_explains_both(capsys):
    for words in (["agreement", "--help"], ["agreement"]):
        _, out, _ = run(capsys, *words)
        squeezed = " ".join(out.replace("│", " ").split())
        assert "VERDICTS HUMAN" in squeezed
        assert "sample" in squeezed
        assert "kappa" in squeezed
    code, out, _ = run(capsys, "agreement", "sample", "--help")
    assert code == 0
    assert "--seed" in out


def test_bad_input_is_one_line_and_exit_code_2(capsys, verdicts, tmp_path):
    table = write_table(tmp_path / "bad.csv", HEADER, [("1", 5, 2, 2, 2)])
    code, out, err = run(capsys, "agreement", verdicts, table, "--out", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "row 2, column 'Completeness': '5' is no rating; 0, 1 or 2 is expected" in err
    assert not (tmp_path / "out").exists()
    code, _, err = run(capsys, "agreement", verdicts)
    assert (code, "HUMAN" in err) == (2, True)


def test_from_a_judged_run_to_conclusions_retest_and_drift(capsys, tmp_path, monkeypatch):
    """Two rounds a question: the second is a point lower on the second sample; a later run is lower throughout."""
    monkeypatch.setenv("MEDQBENCH_JUDGE_KEY", "sk-canary-agreement")
    stem, level = "m_MedQBench_Reasoning_NoReference", "The image is noisy. The quality of this image is {}."
    replies = [level.format("reject"), level.format("good") + " It is sharp."]
    predictions = write_reasoning(tmp_path / f"{stem}.tsv", dict(enumerate(replies)), level.format("reject"))
    asked = []

    def first(request):
        asked.append(request.prompt)
        again = asked.count(request.prompt) > 1
        return "Score: 1" if again and "It is sharp" in request.prompt else "Score: 2"

    common = ("--judge", "j", "--protocol", "rubric-2", "--judge-nproc", 1)
    for folder, reply in (("one", first), ("two", "Score: 1")):
        monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(tmp_path / f"cache-{folder}"))
        with JudgeServer(reply) as server:
            out = tmp_path / folder
            code, text, _ = run(
                capsys, "score", predictions, "--out", out, *common, "--judge-base-url", server.base_url
            )
        assert code == 0
    score = json.loads((tmp_path / "one" / f"{stem}_score.json").read_text(encoding="utf-8"))
    # Computed 2 and 0; the judge said 2 and 1.5.
    assert (score["conclusions"]["Quality Accuracy"], score["conclusions"]["judge"]) == (1.0, 1.75)
    assert score["conclusions"]["n_disagreements"] == 1
    assert score["between_rounds"]["Quality Accuracy"] | {"kappa": None} == {
        "n_pairs": 2, "same": 50.0, "kappa": None, "mean_absolute_difference": 0.5,
    }  # fmt: skip
    assert "between_judges" not in score
    assert "Same score in two rounds: Completeness 100.0%" in text
    verdicts = [tmp_path / folder / f"{stem}_samples.jsonl" for folder in ("one", "two")]
    rows = [json.loads(line) for line in verdicts[0].read_text(encoding="utf-8").splitlines()]
    assert rows[1]["conclusion"] == {"stated": "good", "reference": "reject", "quality_accuracy": 0}
    code, out, _ = run(capsys, "agreement", *verdicts, "--json")
    result = json.loads(out)
    assert (code, result["against"]) == (0, "judge")
    # 2 and 1.5 against 1 and 1.
    assert result["dimensions"]["Completeness"]["bias"] == 0.75
    assert result["dimensions"]["Completeness"]["accuracy"] == 0.0
