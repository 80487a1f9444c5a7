"""Evaluations whose open replies go to an extractor: strict and lenient numbers, what is kept, what is refused."""

import csv
import json

import openpyxl
import pytest

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.workflows import Request, evaluate, headline_to_json
from tests.canaries import leaks
from tests.make import score_of, write_reasoning
from tests.servers import JudgeServer, Sent, refusal

YES_NO = ("Yes", "No", "")
WHAT = ("Noise", "Motion blur", "Ringing")
HOW = ("Good", "Usable", "Reject")
# Index, type, options, right answer, reply.
ROWS = [
    ("1", "Yes-or-No", YES_NO, "A", "A"),
    ("2", "Yes-or-No", YES_NO, "B", "A"),
    ("3", "Yes-or-No", YES_NO, "A", "Case three is for a reader."),
    ("4", "What", WHAT, "C", "Case four is for a reader."),
    ("5", "What", WHAT, "A", "Case five is for a reader."),
    ("6", "What", WHAT, "B", "B"),
    ("7", "How", HOW, "A", "Case seven is for a reader."),
    ("8", "How", HOW, "B", ""),
    ("9", "How", HOW, "C", "Failed to obtain answer via API."),
    ("10", "How", HOW, "C", "C"),
]
SAID = {"three": "It says yes.\nAnswer: A", "four": "Answer: B", "five": "Answer: NONE", "seven": "Who knows?"}


def reply(request):
    return next(words for word, words in SAID.items() if f"Case {word} " in request.prompt)


def write(path, rows=ROWS):
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "question", "A", "B", "C", "answer", "question_type", "modality", "prediction"])
        for index, kind, options, answer, prediction in rows:
            table.writerow([index, f"Question {index}?", *options, answer, kind, "CT", prediction])
    return path


def request_for(path, server=None, **more):
    judge = {"model": "ignored", "protocol": "no such", "retry": 0, "nproc": 4, **more.pop("judge", {})}
    if server is not None:
        judge["api_base"] = server.base_url
        more.setdefault("extractor", "own")
    return Request(path, "m", "MedQBench_Perception_mini", path.parent, judge=judge, **more)


def rows_of(path):
    return {row["index"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "run").mkdir()
    return write(tmp_path / "run" / "m_d.tsv")


def test_strict_and_lenient_by_hand(path, prices):
    with JudgeServer(reply) as server:
        run = evaluate(request_for(path, server, prices=prices))
    score = score_of(run)
    block = score["extractor"]
    assert (block["name"], block["served_as"], block["protocol"]["name"]) == ("own", "own-served", "choice")
    assert len(block["protocol"]["sha256"]) == 64
    counts = [block[name] for name in ("n_open", "n_asked", "n_read", "n_none", "n_failed")]
    assert counts == [4, 4, 2, 1, 1]
    strict, lenient = block["strict"], block["lenient"]
    types = ("Overall", "Yes-or-No", "What", "How")
    assert [strict[name] for name in types] == pytest.approx([30, 100 / 3, 100 / 3, 25])
    assert [lenient[name] for name in types] == pytest.approx([40, 200 / 3, 100 / 3, 25])
    counts = [(side["n"], side["n_correct"], side["n_unanswered"]) for side in (strict, lenient)]
    assert counts == [(10, 3, 6), (10, 4, 4)]
    assert lenient["counts"] == {
        "Yes-or-No": {"n": 3, "n_correct": 2, "n_unanswered": 0, "few": True},
        "What": {"n": 3, "n_correct": 1, "n_unanswered": 1, "few": True},
        "How": {"n": 4, "n_correct": 1, "n_unanswered": 3, "few": True},
    }
    # Wilson's interval of 3 and of 4 out of 10.
    assert strict["intervals"]["Overall"] == pytest.approx([10.78, 60.32], abs=0.01)
    assert lenient["intervals"]["Overall"] == pytest.approx([16.82, 68.73], abs=0.01)
    # Three replies at once, and the fourth after two more asks: 100 and 5 tokens each.
    used = {"calls": 6, "prompt_tokens": 600, "completion_tokens": 30, "cost_usd": 0.00144}
    assert block["usage"] == {**used, "this_run": used}
    # The official numbers are the strict ones.
    assert [score[name] for name in types] == [strict[name] for name in types]
    assert score["n_unanswered"] == 6
    headline = {**{name: lenient[name] for name in types}, "n": 10, "n_unanswered": 4}
    assert headline_to_json(run.result)["lenient"] == headline


def without_extractor(score):
    settings = {name: value for name, value in score["settings"].items() if name not in ("extractor", "created")}
    return {**{name: value for name, value in score.items() if name != "extractor"}, "settings": settings}


def test_an_extractor_changes_no_official_number_and_no_file_without_it(path):
    plain = score_of(evaluate(request_for(path)))
    with JudgeServer(reply) as server:
        second = score_of(evaluate(request_for(path, server)))
    assert "extractor" not in plain
    assert "extractor" not in plain["settings"]
    assert without_extractor(second) == without_extractor(plain)
    assert second["comparable"] == plain["comparable"]
    assert second["settings"]["extractor"]["parameters"] == {"temperature": 0.0, "max_tokens": 4096}
    assert second["settings"]["extractor"]["protocol"] == second["extractor"]["protocol"]


def test_rows_say_what_the_extractor_read(path):
    with JudgeServer(reply) as server:
        evaluate(request_for(path, server))
    rows = rows_of(path.parent / "m_d_samples.jsonl")
    assert [index for index, row in rows.items() if "extractor" in row] == ["3", "4", "5", "7"]
    three = rows["3"]["extractor"]
    assert set(three) == {"letter", "reason", "reply", "prompt_sha256", "judge", "asks", "from_cache"}
    assert (three["letter"], three["reply"], three["judge"]) == ("A", "It says yes.\nAnswer: A", "own-served")
    assert (rows["3"]["extracted"], rows["3"]["correct"]) == (None, False)
    assert (rows["5"]["extractor"]["letter"], rows["5"]["extractor"]["reason"]) == (None, None)
    assert (rows["7"]["extractor"]["letter"], rows["7"]["extractor"]["asks"]) == (None, 3)
    assert "no valid last line" in rows["7"]["extractor"]["reason"]
    sheet = openpyxl.load_workbook(path.parent / "m_d_report.xlsx")["Samples"]
    table = [[cell.value for cell in row] for row in sheet.iter_rows()]
    column = table[0].index("extractor")
    assert [row[column] for row in table[3:6]] == ["A", "B", "no answer"]
    assert table[7][column].startswith("failed: no valid")


def test_a_second_run_pays_nothing_and_says_the_same(path, tmp_path):
    cache = tmp_path / "cache"
    with JudgeServer(reply) as server:
        first = score_of(evaluate(request_for(path, server, cache=cache)))["extractor"]
        assert len(server.requests) == 6
        second = score_of(evaluate(request_for(path, server, cache=cache)))["extractor"]
        # The same again takes its place; what failed is not kept, and asked again.
        assert not (path.parent / "previous").exists()
        assert len(server.requests) == 9
        cached = score_of(evaluate(request_for(path, server, cache=cache, judge={"no_calls": True})))["extractor"]
        assert len(server.requests) == 9
        evaluate(request_for(path, server, cache=cache, judge={"fresh": True}))
        assert len(server.requests) == 15
    assert [second[side] for side in ("strict", "lenient")] == [first[side] for side in ("strict", "lenient")]
    assert (second["usage"]["calls"], second["usage"]["this_run"]["calls"]) == (6, 3)
    assert [cached[name] for name in ("n_open", "n_asked", "n_read", "n_none", "n_failed")] == [4, 3, 2, 1, 0]
    assert cached["lenient"]["Overall"] == first["lenient"]["Overall"]


def test_what_was_paid_for_is_not_written_over(path):
    previous = path.parent / "previous"
    evaluate(request_for(path))
    with JudgeServer(reply) as server:
        evaluate(request_for(path, server))
        assert not previous.exists()
        before = sha256_of(path.parent / "m_d_samples.jsonl")
        evaluate(request_for(path))
        [previous_samples] = previous.glob("*_samples_*.jsonl")
        assert sha256_of(previous_samples) == before
        assert len(list(previous.iterdir())) == 3
        # Nothing that was paid for stands in its way now.
        evaluate(request_for(path))
        evaluate(request_for(path, server))
        assert len(list(previous.iterdir())) == 3
        # Another extractor is another result.
        evaluate(request_for(path, server, extractor="other"))
        assert len(list(previous.iterdir())) == 6


@pytest.mark.parametrize(
    "earlier",
    [
        {"extractor": {"n_read": "many"}, "settings": []},
        {"extractor": {"n_read": 2, "usage": "x"}, "settings": {"extractor": "x", "prediction_file": 3}},
        {"settings": {"judge": {"name": "j"}}, "n_scored": "all"},
        {"settings": {"judge": "x"}, "NoReference": 7},
    ],
)
@pytest.mark.parametrize("again", [True, False])
def test_earlier_files_of_any_shape_stop_nothing(path, earlier, again):
    (path.parent / "m_d_samples.jsonl").write_text("{}", encoding="utf-8")
    (path.parent / "m_d_score.json").write_text(json.dumps(earlier), encoding="utf-8")
    with JudgeServer(reply) as server:
        evaluate(request_for(path, server if again else None))
    assert rows_of(path.parent / "m_d_samples.jsonl")["1"]["extracted"] == "A"
    # What cannot be read may have been paid for.
    assert (path.parent / "previous").exists()


def test_judged_replies_are_not_written_over_by_multiple_choice_ones(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {1: "It is good."})
    with JudgeServer("Score: 2") as server:
        judge = {"model": "j", "protocol": "rubric", "api_base": server.base_url}
        evaluate(Request(path, "m", "MedQBench_Reasoning_NoReference_mini", tmp_path, judge=judge))
    before = sha256_of(tmp_path / "m_d_samples.jsonl")
    evaluate(request_for(write(path)))
    [previous_samples] = (tmp_path / "previous").glob("*_samples_*.jsonl")
    assert sha256_of(previous_samples) == before


def test_numbers_do_not_depend_on_the_order_of_rows(path, tmp_path):
    (tmp_path / "other").mkdir()
    turned = write(tmp_path / "other" / "m_d.tsv", ROWS[::-1])
    with JudgeServer(reply) as server:
        blocks = [score_of(evaluate(request_for(file, server)))["extractor"] for file in (path, turned)]
    assert blocks[0] == blocks[1]


def test_a_file_without_open_replies_asks_nobody(tmp_path):
    path = write(tmp_path / "m_d.tsv", [row for row in ROWS if "reader" not in row[4]])
    score = score_of(evaluate(request_for(path, extractor="own", judge={"api_base": "http://127.0.0.1:9/v1"})))
    assert (score["extractor"]["n_open"], score["extractor"]["usage"]["calls"]) == (0, 0)
    assert score["extractor"]["strict"] == score["extractor"]["lenient"]
    assert score["extractor"]["served_as"] is None


def test_keys_reach_no_file_and_no_message(path, tmp_path):
    canary = "sk-canary-0123456789-abc"

    def echo(request):
        header = request.headers["authorization"]
        return Sent(f"You sent {header}.\nAnswer: A", model=f"model of {header}")

    with JudgeServer(echo) as server:
        run = evaluate(request_for(path, server, judge={"key": canary}, cache=tmp_path / "cache"))
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {canary}"}
    assert score_of(run)["extractor"]["n_read"] == 4
    assert leaks([canary], tmp_path) == []
    with JudgeServer(refusal(401, f"no such key {canary}")) as server, pytest.raises(JudgeError) as caught:
        evaluate(request_for(path, server, judge={"key": canary}))
    assert canary not in str(caught.value)
