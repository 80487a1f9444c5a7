"""Prediction files of every format, written as the kits write them."""

from __future__ import annotations

import ast
import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit_version import find_kit
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.predictions.files import failure_reason
from medqbench_vlmeval.types import PredictionStatus

OK, FAILED = PredictionStatus.OK, PredictionStatus.INFERENCE_FAILED
LOOKS_LIKE = "None nan NA N/A null 7 007 1e3 True #N/A"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def dump(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as both kits' ``vlmeval.smp.dump`` do."""
    records = frame.to_dict("records")
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False, engine="xlsxwriter")
    elif path.suffix in {".csv", ".tsv"}:
        separator = "," if path.suffix == ".csv" else "\t"
        frame.to_csv(path, sep=separator, index=False, encoding="utf-8", quoting=csv.QUOTE_ALL)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records, indent=4, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in records), encoding="utf-8")
    return path


def texts(path: Path) -> list[str]:
    return [p.text for p in read_predictions(path).predictions]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(replies=st.lists(TEXT, min_size=1, max_size=6))
def test_any_text_comes_back(tmp_path: Path, suffix: str, replies: list[str]) -> None:
    if suffix in {"csv", "tsv"}:
        # A NUL byte is refused there: no spreadsheet program or reader keeps it.
        replies = [reply.replace("\0", "") for reply in replies]
    frame = pd.DataFrame({"index": range(len(replies)), "prediction": pd.Series(replies, dtype=object)})
    assert texts(dump(frame, tmp_path / f"m.{suffix}")) == replies


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
def test_texts_that_look_like_something_else(tmp_path: Path, suffix: str) -> None:
    replies = [*LOOKS_LIKE.split(), "", " A ", "a\nb\tc", '"A"', "选B"]
    frame = pd.DataFrame({"index": [str(at) for at in range(len(replies))], "prediction": replies, "A": ["None"] * 15})
    table = read_predictions(dump(frame, tmp_path / f"m.{suffix}"))
    assert [p.text for p in table.predictions] == replies
    assert [row["A"] for row in table.rows] == ["None"] * 15
    assert [p.index for p in table.predictions] == [str(at) for at in range(15)]
    assert table.columns == ("index", "prediction", "A")


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
def test_values_that_are_no_texts(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"index": [1.0, 2.0, 3.0], "prediction": [1, 2.5, float("nan")]})
    table = read_predictions(dump(frame, tmp_path / f"m.{suffix}"))
    assert [p.text.removesuffix(".0") for p in table.predictions] == ["1", "2.5", ""]
    assert [p.index.removesuffix(".0") for p in table.predictions] == ["1", "2", "3"]


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
def test_long_replies_with_control_characters(tmp_path: Path, suffix: str) -> None:
    reply = "".join(chr(1 + at % 31) + "é" for at in range(50_000))
    short = "x" * 32_766
    frame = pd.DataFrame({"index": [1, 2, 3], "prediction": [reply, short, "A"]})
    predictions = read_predictions(dump(frame, tmp_path / f"m.{suffix}")).predictions
    cut = suffix == "xlsx"
    assert predictions[0].text == (reply[:32_767] if cut else reply)
    assert [p.cut for p in predictions] == [cut, False, False]
    assert [p.text for p in predictions[1:]] == [short, "A"]


def test_other_shapes_of_json_and_spellings_of_columns(tmp_path: Path) -> None:
    shapes = [
        [{"index": 1, "prediction": "A"}, {"index": 2, "prediction": None, "extra": [1]}],
        {"index": [1, 2], "prediction": ["A", None]},
        {"index": {"0": 1, "1": 2}, "prediction": {"0": "A"}},
        {"columns": ["Model Response", "question", "ID"], "data": [["A", "?", 1], [None, "", 2.0]]},
    ]
    for shape in shapes:
        path = tmp_path / "m.json"
        path.write_text(json.dumps(shape), encoding="utf-8")
        assert [(p.index, p.text) for p in read_predictions(path).predictions] == [("1", "A"), ("2", "")]
    path.write_text('[{"index": 1, "prediction": NaN}, {"index": 2, "prediction": {"a": ["é"]}}]', encoding="utf-8")
    assert texts(path) == ["", '{"a": ["é"]}']


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *((f"Failed to obtain answer via API.{rest}", FAILED) for rest in ("", " ", "Connection error.")),
        ("Fail to obtain answer via API.", FAILED),
        ("Failed to obtain answer via API.: Failed with all possible conversation turns.", FAILED),
        *((f"Failed to obtain answer{rest}", FAILED) for rest in ("", ".", ": <class 'RuntimeError'> out of memory")),
        *((f"Failed to obtain answer{rest}", FAILED) for rest in (" via bailingMM API.", " BlueLM API. ")),
        ("The log says 'Failed to obtain answer via API.', so B", OK),
        ("Failed to obtain answer from the blurred part, but B fits.", OK),
        ("Failed to obtain answers about the texture, so C.", OK),
        ("Error: the sharpness cannot be judged; A.", OK),
        ("Image decode errors are visible in the lower half.", OK),
        ("There is no RuntimeError: B", OK),
        ("None of the above", OK),
        *((text, FAILED) for text in ("", " \n", "Image Decode Error", "RuntimeError: CUDA error: device-side assert")),
        ("Error: Bad Response Statuse Code. ", FAILED),
        ("Error! code 502 content: b'<html>bad gateway</html>'", FAILED),
        ("Error: HTTPSConnectionPool(host='x', port=443): Read timed out.", FAILED),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", FAILED),
        ("openai.APIConnectionError: Connection error.", FAILED),
        ("Traceback (most recent call last):\n  File ...", FAILED),
    ],
)
def test_what_the_kit_writes_when_it_gives_up_is_no_reply(tmp_path: Path, text: str, status: PredictionStatus) -> None:
    path = dump(pd.DataFrame({"index": [1], "prediction": [text]}), tmp_path / "m.tsv")
    prediction = read_predictions(path).predictions[0]
    assert prediction.status is status
    assert (prediction.failure is None) == (status is OK)


def test_the_reason_of_a_failure_is_what_stands_behind_the_message() -> None:
    assert failure_reason("Failed to obtain answer via API. status 500: overloaded\n\x1b[2J") == (
        "status 500: overloaded [2J"
    )
    assert failure_reason("Failed to obtain answer: <class 'RuntimeError'> out of memory") == (
        "<class 'RuntimeError'> out of memory"
    )
    assert failure_reason("Failed to obtain answer via API. ") == "no reason on record"
    assert len(failure_reason(f"ValueError: {'x' * 9_000}") or "") < 250


@pytest.mark.needs_kit
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_message_in_the_kits_sources_is_no_reply() -> None:
    """Also those of interfaces that nobody has run here: ``fail_msg = ...``, and texts that come with an error code."""
    kit = find_kit()
    assert kit is not None
    said = set()
    for path in (kit.package / "api").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("fail_msg"):
                said |= {node.value.value} if isinstance(node.value, ast.Constant) else set()
            if isinstance(node, ast.FunctionDef):
                said |= {d.value for a, d in zip(reversed(node.args.args), reversed(node.args.defaults), strict=False)
                         if a.arg == "fail_msg" and isinstance(d, ast.Constant)}  # fmt: skip
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
                code, text, _ = node.value.elts
                if ast.unparse(code) == "-1" and isinstance(text, ast.Constant):
                    said.add(text.value)
    assert len(said) >= 6, "the kit says it in several ways"
    assert [text for text in sorted(said) if failure_reason(text) is None] == []


def whole(tmp_path: Path, suffix: str) -> bytes:
    frame = pd.DataFrame({"index": range(50), "prediction": [f"reply {at}" for at in range(50)]})
    return dump(frame, tmp_path / f"whole.{suffix}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["xlsx", "json"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(part=st.floats(0, 0.99))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"m.{suffix}"
    data = whole(tmp_path, suffix)
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(BadInput, match=r"m\.\w+"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.xlsx", b"", "is empty"),
        ("m.csv", b"", "is empty"),
        ("m.json", b"", "is empty"),
        ("m.json", b"[]", "no column 'index'"),
        ("m.json", b"{}", "not one of columns"),
        ("m.json", b"7", "holds int"),
        ("m.json", b"[1]", "row 1: int where an object"),
        ("m.json", b'[{"index": 1', "is not whole JSON"),
        ("m.json", b"[" * 200_000, "is not whole JSON"),
        ("m.json", b'{"index": [1, 2], "prediction": ["A"]}', "different lengths"),
        ("m.json", b"\xff\xfe", "is not whole JSON in UTF-8"),
        ("m.jsonl", b'{"index": 1, "prediction": "A"}\n{"index": 2, "pred', "line 2: not a whole JSON object"),
        ("m.tsv", b"index\tprediction\n", "has a header but no rows"),
        ("m.tsv", b"index\tanswer\n1\tA\n", "no column 'prediction'"),
        ("m.csv", b"question,prediction\n1,A\n", "no column 'index'"),
        ("m.csv", b'index,prediction\n1,"A\n', "never closed"),
        ("m.csv", b"index,prediction\n1,A\n2,B\n1,C\n", "rows 1 and 3 have the same index '1'"),
        ("m.csv", b"index,prediction\n,A\n", "row 1: the index is empty"),
        ("m.csv", b"index,prediction\n1,A,B\n", "3 cells"),
        ("m.xlsx", b"PK\x03\x04 no archive", "is not a whole .xlsx file"),
        ("m.pkl", b"\x80\x04.", "pickle files are not opened"),
        ("m.txt", b"A", "a prediction file ends in .xlsx, .csv"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_predictions(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_an_absent_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for name, words in (("no.xlsx", "does not exist"), ("d.csv", "is a folder")):
        with pytest.raises(BadInput, match=words):
            read_predictions(tmp_path / name)
