"""A real language model of 135 million parameters as judge and extractor."""

import json
import re
import sqlite3
import urllib.request

import pytest

from medqbench_vlmeval import load
from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.kit_version import find_kit
from tests.commands import run
from tests.make import write_reasoning

pytestmark = pytest.mark.slow


def chat(url, question, **settings):
    body = {"model": "any", "messages": [{"role": "user", "content": question}], **settings}
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def test_the_model_is_a_real_one(small_llm_url):
    question = "What is the capital of France? Reply in one sentence."
    whole = chat(small_llm_url, question)
    assert whole["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == 8
    cut = chat(small_llm_url, question, max_tokens=3)
    assert cut["choices"][0] | {"message": None} == {"index": 0, "message": None, "finish_reason": "length"}


def kept_texts(judge_cache):
    """All that the model said, as the cache keeps it."""
    (path,) = judge_cache.glob("*.sqlite3")
    with sqlite3.connect(path) as connection:
        return [json.loads(body)["texts"] for (body,) in connection.execute("SELECT body FROM replies")]


def says(texts, dimension, score):
    """Whether one of some replies literally states a score, by a rule that knows nothing of the package's reader."""
    entry = rf'"{dimension}":\s*{{[^{{}}]*"score":\s*"?{score}\b'
    plain = rf"(?im)^\W*{score}\W*$|\bscore\W{{1,5}}(?:is|of|as|to be)?\W{{0,5}}{score}\b"
    return any(re.search(entry, text) or re.search(plain, text) for text in texts if text)


@pytest.mark.parametrize(
    ("protocol", "n", "most"),
    [
        pytest.param("official", 1, 24, marks=pytest.mark.skipif(find_kit() is None, reason="wording of the kit's")),
        ("rubric", 1, 24),
        ("rubric-joint", 1, 120),
    ],
)
def test_a_small_judge_invents_nothing_and_all_is_counted(
    capsys, tmp_path, judge_cache, small_llm_url, protocol, n, most
):
    samples = load("MedQBench_Reasoning_NoReference_mini")[:n]
    path = write_reasoning(
        tmp_path / "m_d.tsv", {sample.index: sample.description for sample in samples}, samples[0].description
    )
    settings = json.dumps({"max_tokens": most, "stop_after": 1000})
    words = ["--judge", "smol", "--judge-base-url", small_llm_url, "--protocol", protocol, "--judge-args", settings]
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "out", *words)
    (numbers,), (rows,) = ([*(tmp_path / "out").glob(f"*_{kind}")] for kind in ("score.json", "samples.jsonl"))
    counts, rows = json.loads(numbers.read_text()), list(map(json.loads, rows.read_text().splitlines()))
    assert len(rows) == n == counts["n_scored"] + counts["n_unscored"]
    assert sum(counts["unscored_reasons"].values()) == counts["n_unscored"]
    kept = kept_texts(judge_cache)
    scores = []
    for verdicts in (row["verdicts"] for row in rows):
        assert {*verdicts} == {*DIMENSIONS}
        for dimension, verdict in verdicts.items():
            assert (verdict["score"] is None) == bool(verdict["reason"])
            asked = [texts for texts in kept if texts[-1] == verdict["reply"]]
            assert asked, verdict
            if verdict["score"] is not None:
                scores.append(verdict["score"])
                assert any(says(texts, dimension, verdict["score"]) for texts in asked), (verdict, asked)
    # A dimension without any verdict fails the run, and the reason stands in its one sentence.
    assert code == (1 if any(not counts["counts"][name] for name in counts["counts"]) else 0), err
    assert ("could be scored" in err) == (code == 1)


def test_a_run_that_cannot_succeed_stops_and_quotes_a_reply(capsys, tmp_path, judge_cache, small_llm_url):
    samples = load("MedQBench_Reasoning_NoReference_mini")[:8]
    path = write_reasoning(tmp_path / "m_d.tsv", {sample.index: sample.description for sample in samples})
    settings = json.dumps({"max_tokens": 8, "stop_after": 2})
    words = ["--judge", "smol", "--judge-base-url", small_llm_url, "--protocol", "rubric", "--judge-args", settings]
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "out", "--judge-nproc", 2, *words)
    assert code == 1
    assert re.search(
        r"[24] (?:calls in a row|of the first \d calls) of the judge 'smol' failed", err.replace("\n", " ")
    ), err
    (quoted,) = re.findall(r"; it said '(.*?)(?:\.\.\.)?'\. The run was stopped", err)
    kept = kept_texts(judge_cache)
    assert any(quoted in " ".join((text or "").split()) for texts in kept for text in texts), (quoted, kept)
    # 32 calls were planned.
    assert len(kept) < 8


def test_a_small_extractor_reads_only_letters_that_its_last_line_says(capsys, tmp_path, judge_cache, small_llm_url):
    options = {"A": "Noise", "B": "Motion blur", "C": "Ringing"}
    replies = ["It could be either of them.", "Hard to say, the edges ring.", "Motion, or else noise."]
    rows = [
        {"index": at, "question": "What?", **options, "answer": "C", "prediction": text}
        for at, text in enumerate(replies)
    ]
    path = tmp_path / "m_d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = json.dumps({"max_tokens": 24, "stop_after": 1000})
    words = ["--extractor", "smol", "--judge-base-url", small_llm_url, "--judge-args", settings]
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "out", *words)
    assert code == 0, err
    (numbers,) = (tmp_path / "out").glob("*_score.json")
    extractor = json.loads(numbers.read_text())["extractor"]
    n_asked, n_read, n_none, n_failed = (extractor[name] for name in ("n_asked", "n_read", "n_none", "n_failed"))
    assert n_asked == n_read + n_none + n_failed == 3
    stated = [
        text
        for texts in kept_texts(judge_cache)
        for text in texts
        if re.search(r"(?im)^\W*answer\W+(?:[A-C]|none)\b|^\W*[A-C]\W*$", text or "")
    ]
    assert len(stated) >= n_read + n_none
