"""A judge against two raters: tables and notes in the terminal, and the workbook."""

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.report.agreement_tables import agreement_tables, write_agreement
from medqbench_vlmeval.scoring import agreement
from tests.make import judged, make_run
from tests.report.printed import printed

JUDGE, ANNA, BO = (2.0, 1.0, 0.0, 2.0), (2.0, 1.0, 0.0, 1.0), (2.0, 1.0, 1.0, 0.0)


@pytest.fixture
def comparison():
    """Four answers with the same scores on all dimensions; Anna differs from the judge on one, Bo on two."""
    (row,) = make_run([judged("1", (2, 2, 2, 2), text="=1+1")]).rows
    median = [(anna + bo) / 2 for anna, bo in zip(ANNA, BO, strict=True)]
    everywhere = dict.fromkeys(DIMENSION_TITLES.values())
    agreements = {
        name: dict.fromkeys(everywhere, agreement.compare_scores(JUDGE, side))
        for name, side in (("Anna", ANNA), ("Bo", BO))
    }
    return agreement.RatingComparison(
        by_judge=False,
        verdicts=[agreement.VerdictFile("m_samples.jsonl", "M", None, "gpt", "rubric", 4)],
        raters=["Anna", "Bo"],
        n=4,
        n_unrated=0,
        n_elsewhere=2,
        elsewhere=["other"],
        dimensions=dict.fromkeys(
            everywhere, agreement.DimensionAgreement(agreement.measure_agreement(JUDGE, median), 2, 0, 1)
        ),
        by_rater=agreements,
        between_raters={"Anna": {"Bo": dict.fromkeys(everywhere, agreement.compare_scores(ANNA, BO))}},
        groups={"modality": {"CT": agreements["Anna"], "MRI": agreements["Bo"]}},
        disagreements=[agreement.RatingDisagreement("M", row, "preciseness", 2, 0.5, {"Anna": 1.0, "Bo": 0.0})],
        among_raters=dict.fromkeys(everywhere, agreement.measure_raters([ANNA, BO], JUDGE, range(4))),
        rater_disagreements=[
            agreement.RatingDisagreement("M", row, "preciseness", 1, 1, {"Anna": 0.0, "Bo": 2.0}, {"Bo": "=cmd"})
        ],
        n_partly={"Bo": 1},
        references=["hidden"],
    )


def test_in_a_pipe(comparison):
    lines = printed(agreement_tables(comparison))
    assert lines[0] == "Judge gpt (rubric) on M against 2 raters (median), 4 answers"
    # The medians are 2, 1, 0.5 and 0.5: the last two are not the same; the judge's mean is 1.25, theirs 1.
    assert lines[2].split()[:3] == ["Completeness", "4", "50.0"]
    assert lines[2].split()[-1] == "+0.250"
    assert "Published: 83.3-90.5% and kappa 0.774-0.985 (GPT-4o against three radiologists on 200 cases)." in lines
    at = lines.index("Judge and raters, two by two: same %, kappa") + 2
    pairs = [(line.split("  ")[0], line.split()[-2]) for line in lines[at : at + 3]]
    assert pairs == [("the judge / Anna", "75.0,"), ("the judge / Bo", "50.0,"), ("Anna / Bo", "50.0,")]
    at = lines.index("Raters among themselves, and the judge as one of them") + 2
    # Both sum to 4 with squares of 6, and are apart by 1 and 1: kappa 1 - 2 / (6 + 6 - 2 * 4 * 4 / 4).
    assert lines[at].split()[:3] == ["Completeness", "4", "0.500"]
    assert "! answers that a rater left without a rating on some dimension: Bo 1" in lines
    assert "! the judge sees the reference; to raters it was hidden" in lines
    assert "! 2 ratings are of runs that were not given: other" in lines
    assert any(line.startswith("! raters' median between two marks, which no whole verdict equals: ") for line in lines)
    assert any(line.startswith("! not rated: Completeness 1, ") for line in lines)


def test_the_workbook(comparison, tmp_path):
    write_agreement(tmp_path / "a.xlsx", comparison)
    book = load_workbook(tmp_path / "a.xlsx")
    rows = [list(row) for row in book["Agreement"].iter_rows(values_only=True)]
    head = next(row for row in rows if row[0] == "Dimension")
    assert head[:5] == ["Dimension", "n", "Same %", "95% low", "95% high"]
    at = next(i for i, row in enumerate(rows) if row[0] == "Completeness: rated (down) by judge (across)")
    # Rated 0.5 counts as 1: the judge said 0 and 2 there.
    assert [row[:4] for row in rows[at + 2 : at + 5]] == [[0, 0, 0, 0], [1, 1, 1, 1], [2, 0, 0, 1]]
    assert next(row for row in rows if row[0] == "MRI")[1:3] == [4, 50]
    header, first = book["Disagreements"].iter_rows(values_only=True)
    values = dict(zip(header, first, strict=True))
    assert (values["judge"], values["rated"], values["Anna"], values["Bo"]) == (2, 0.5, 1, 0)
    assert (values["dimension"], values["answer"], values["judge said"]) == ("Preciseness", "=1+1", "Score: 2")
    header, first = book["Among raters"].iter_rows(values_only=True)
    values = dict(zip(header, first, strict=True))
    assert (values["Anna"], values["Bo"], values["comments"]) == (0, 2, "Bo: =cmd")
