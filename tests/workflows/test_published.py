"""Prediction files whose right and wrong counts are the published ones give the published rows."""

import csv
import json

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.workflows import Request, evaluate
from tests.make import ON_RECORD, score_of, write_reasoning
from tests.servers import JudgeServer, Sent

# Correct answers of 558 Yes-or-No, 258 What and 489 How questions behind published/perception_test.csv.
PERCEPTION = {
    "GPT-5": ((459, 156, 285), (82.26, 60.47, 58.28, 68.97)),
    "Grok-4": ((409, 126, 289), (73.30, 48.84, 59.10, 63.14)),
    "InternVL3-38B": ((389, 148, 259), (69.71, 57.36, 52.97, 61.00)),
    "Claude-4-Sonnet": ((399, 120, 267), (71.51, 46.51, 54.60, 60.23)),
    "MedGemma-27B": ((374, 124, 248), (67.03, 48.06, 50.72, 57.16)),
    "Qwen2.5-VL-7B": ((323, 125, 266), (57.89, 48.45, 54.40, 54.71)),
}
QUESTIONS = {
    "Yes-or-No": (558, "Is there noise in this CT image?", ("Yes", "No")),
    "What": (258, "What degradation is most prominent?", ("Noise", "Motion", "Blur", "Ring artifact")),
    "How": (489, "How is the quality of this image?", ("Good", "Usable", "Reject")),
}


@pytest.mark.parametrize(
    "model", [model if i < 2 else pytest.param(model, marks=pytest.mark.slow) for i, model in enumerate(PERCEPTION)]
)
def test_perception_rows(tmp_path, model):
    correct, row = PERCEPTION[model]
    path = tmp_path / f"{model}_MedQBench_Perception.tsv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        # As published: no column gives the question type, which is told from question and options.
        table.writerow(["index", "question", *"ABCD", "answer", "modality", "prediction", *ON_RECORD])
        for (count, question, options), right in zip(QUESTIONS.values(), correct, strict=True):
            for i in range(count):
                reply = "B" if i < right else "The answer is A."
                cells = [*options, *[""] * (4 - len(options))]
                table.writerow([f"{question[:2]}{i}", question, *cells, "B", "CT", reply, *ON_RECORD.values()])
    score = score_of(evaluate(Request(path, model, "MedQBench_Perception", tmp_path)))
    assert tuple(round(score[key], 2) for key in ("Yes-or-No", "What", "How", "Overall")) == row
    assert score["n"] == 1305
    assert score["n_unanswered"] == 0
    assert score["comparable"] == "yes"


REASONING = {
    # (task, dataset, n) -> points that the judge gives in all, and the published means
    "GPT-5, no-reference": ("no-reference", 221, (264, 247, 406, 338), (1.195, 1.118, 1.837, 1.529, 5.679)),
    "GPT-5, comparative": ("comparative", 133, (172, 207, 256, 208), (1.293, 1.556, 1.925, 1.564, 6.338)),
    "Grok-4, comparative": ("comparative", 133, (153, 164, 242, 194), (1.150, 1.233, 1.820, 1.459, 5.662)),
}
# What the official templates ask for, by a word that only one of them has; read off the prompt by the server.
ASKED = {
    "completeness": "completely includes",
    "preciseness": "precision metric",
    "consistency": "internal consistency",
    "quality_accuracy": "accuracy of the final",
}


@pytest.mark.slow
@pytest.mark.needs_kit
@pytest.mark.parametrize(
    "row", [row if i == 0 else pytest.param(row, marks=pytest.mark.slow) for i, row in enumerate(REASONING)]
)
def test_reasoning_rows_by_a_real_server(tmp_path, row):
    task, n, points, means = REASONING[row]
    totals = dict(zip(ASKED, points, strict=True))

    def reply(request):
        dimension = next(name for name, words in ASKED.items() if words in request.prompt)
        sample = int(request.prompt.split("Sample ")[1].split(":")[0])
        left = totals[dimension] - 2 * sample
        return Sent(f"Score: {max(0, min(2, left))}", model="gpt-4o-2024-11-20")

    replies = {i: f"Sample {i}: some text." for i in range(n)}
    path = write_reasoning(tmp_path / "m_x.tsv", replies, task=Task(task), **ON_RECORD)
    dataset = f"MedQBench_Reasoning_{'NoReference' if task == 'no-reference' else 'Comparative'}"
    with JudgeServer(reply) as server:
        judge = {"model": "gpt-4o", "api_base": server.base_url, "nproc": 16}
        score = score_of(evaluate(Request(path, "m", dataset, tmp_path, judge=judge)))
        assert len(server.requests) == 4 * n
    titles = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy", "Overall")
    assert [score[title] for title in titles] == pytest.approx(means, abs=0.0006)
    assert score["n_unscored"] == 0
    taken = {"calls": 4 * n, "prompt_tokens": 400 * n, "completion_tokens": 20 * n}
    assert {name: score["usage"][name] for name in taken} == taken
    assert score["comparable"] == "yes"
    assert score["settings"]["judge"]["served_as"] == "gpt-4o-2024-11-20"
    assert score["settings"]["protocol"]["name"] == "official"
    rows = [json.loads(line) for line in (tmp_path / "m_x_samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(len(entry["verdicts"]) == 4 for entry in rows)
    assert sum(entry["scores"]["completeness"] for entry in rows) == points[0]
