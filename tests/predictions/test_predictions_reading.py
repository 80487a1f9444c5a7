"""Prediction files of every format, written as the kits write them."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.types import PredictionStatus

OK, FAILED = PredictionStatus.OK, PredictionStatus.INFERENCE_FAILED
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
# A spreadsheet's writer takes some beginnings for links, '<r>' for its own markup, and has no place for two code
# points that XML forbids.
NOT_IN_A_SHEET = (":", "\ufffe", "\uffff", "<r>")
CELL_TEXT = TEXT.filter(lambda text: not any(mark in text for mark in NOT_IN_A_SHEET))
ODD_TEXTS = ["=1+1", "=A1 is the answer", "{=x}", "{=x\ty\x0b}", "=1\x0b2\x00", "_x000B_", "x005F_", "_x005F_"]


def dump(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as both kits' ``vlmeval.smp.dump`` do."""
    suffix = path.suffix[1:]
    if suffix == "xlsx":
        frame.to_excel(path, index=False, engine="xlsxwriter")
    elif suffix == "csv":
        frame.to_csv(path, index=False, encoding="utf-8", quoting=csv.QUOTE_ALL)
    elif suffix == "tsv":
        frame.to_csv(path, sep="\t", index=False, encoding="utf-8", quoting=csv.QUOTE_ALL)
    elif suffix == "json":
        with path.open("w", encoding="utf-8") as out:
            json.dump(frame.to_dict("records"), out, indent=4, ensure_ascii=False)
    else:
        records = frame.to_dict("records")
        path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in records), encoding="utf-8")
    return path


def dump_head(frame: pd.DataFrame, path: Path) -> Path:
    """The git kit's spreadsheet, where a leading '=' is a text."""
    options = {"options": {"strings_to_formulas": False}}
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
        frame.to_excel(writer, index=False)
    return path


def texts(path: Path) -> list[str]:
    return [one.text for one in read_predictions(path).predictions]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(replies=st.lists(TEXT, min_size=1, max_size=6))
def test_any_text_comes_back(tmp_path: Path, suffix: str, replies: list[str]) -> None:
    if suffix in {"csv", "tsv"}:
        # A NUL byte is refused there: no spreadsheet program or reader keeps it.
        replies = [reply.replace("\0", "") for reply in replies]
    frame = pd.DataFrame({"index": range(len(replies)), "prediction": pd.Series(replies, dtype=object)})
    assert texts(dump(frame, tmp_path / f"m.{suffix}")) == replies


@pytest.mark.parametrize("write", [dump, dump_head])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(replies=st.lists(CELL_TEXT | st.sampled_from(ODD_TEXTS), min_size=1))
def test_any_text_comes_back_from_a_spreadsheet(tmp_path: Path, write, replies: list[str]) -> None:
    frame = pd.DataFrame({"index": range(len(replies)), "prediction": pd.Series(replies, dtype=object)})
    path = write(frame, tmp_path / "m.xlsx")
    expected = [_as_formula(reply) if write is dump else reply for reply in replies]
    assert texts(path) == expected


def _as_formula(reply: str) -> str:
    # What the PyPI kit's writer loses of a text that it takes for a formula: XML has one kind of line break outside
    # of escapes, and a closing brace without an opening one is dropped.
    if not reply.startswith("="):
        return reply
    return reply.replace("\r\n", "\n").replace("\r", "\n").removesuffix("}")


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
def test_texts_that_look_like_something_else(tmp_path: Path, suffix: str) -> None:
    replies = [
        "None",
        "nan",
        "NA",
        "N/A",
        "null",
        "",
        "7",
        "007",
        "1e3",
        "True",
        "#N/A",
        " A ",
        "a\nb\tc",
        'say "A"',
        "答案是B",
    ]
    frame = pd.DataFrame({"index": [str(at) for at in range(len(replies))], "prediction": replies, "A": ["None"] * 15})
    table = read_predictions(dump(frame, tmp_path / f"m.{suffix}"))
    assert [one.text for one in table.predictions] == replies
    assert [row["A"] for row in table.rows] == ["None"] * 15
    assert [one.index for one in table.predictions] == [str(at) for at in range(15)]
    assert table.columns == ("index", "prediction", "A")


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
def test_values_that_are_no_texts(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"index": [1.0, 2.0, 3.0], "prediction": [1, 2.5, float("nan")]})
    table = read_predictions(dump(frame, tmp_path / f"m.{suffix}"))
    assert [one.text.removesuffix(".0") for one in table.predictions] == ["1", "2.5", ""]
    assert [one.index.removesuffix(".0") for one in table.predictions] == ["1", "2", "3"]


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
def test_long_replies_with_control_characters(tmp_path: Path, suffix: str) -> None:
    reply = "".join(chr(1 + at % 31) + "é" for at in range(50_000))
    short = "x" * 32_766
    frame = pd.DataFrame({"index": [1, 2, 3], "prediction": [reply, short, "A"]})
    found = read_predictions(dump(frame, tmp_path / f"m.{suffix}")).predictions
    cut = suffix == "xlsx"
    assert found[0].text == (reply[:32_767] if cut else reply)
    assert [one.cut for one in found] == [cut, False, False]
    assert [one.text for one in found[1:]] == [short, "A"]


def test_other_shapes_of_json(tmp_path: Path) -> None:
    shapes = [
        [{"index": 1, "prediction": "A"}, {"index": 2, "prediction": None, "extra": [1]}],
        {"index": [1, 2], "prediction": ["A", None]},
        {"index": {"0": 1, "1": 2}, "prediction": {"0": "A"}},
        {"columns": ["index", "prediction"], "data": [[1, "A"], [2.0, None]]},
    ]
    for shape in shapes:
        path = tmp_path / "m.json"
        path.write_text(json.dumps(shape), encoding="utf-8")
        assert [(one.index, one.text) for one in read_predictions(path).predictions] == [("1", "A"), ("2", "")]
    path.write_text('[{"index": 1, "prediction": NaN}, {"index": 2, "prediction": {"a": ["é"]}}]', encoding="utf-8")
    assert texts(path) == ["", '{"a": ["é"]}']


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Failed to obtain answer via API.", FAILED),
        ("Failed to obtain answer via API. ", FAILED),
        ("Failed to obtain answer via API.Connection error.", FAILED),
        ("Failed to obtain answer via API.: Failed with all possible conversation turns.", FAILED),
        ("Failed to obtain answer: <class 'RuntimeError'> out of memory", FAILED),
        ("Failed to obtain answer via bailingMM API.", FAILED),
        ("Failed to obtain answer BlueLM API. ", FAILED),
        ("Failed to obtain answer.", FAILED),
        ("Failed to obtain answer", FAILED),
        ("The log says 'Failed to obtain answer via API.', so B", OK),
        ("Failed to obtain answer from the blurred part, but B fits.", OK),
        ("", OK),
    ],
)
def test_the_kits_failure_message_is_no_reply(tmp_path: Path, text: str, status: PredictionStatus) -> None:
    path = dump(pd.DataFrame({"index": [1], "prediction": [text]}), tmp_path / "m.tsv")
    assert read_predictions(path).predictions[0].status is status


def test_other_spellings_and_orders_of_columns(tmp_path: Path) -> None:
    path = dump(pd.DataFrame({"Model Response": ["B"], "question": ["?"], "ID": ["q1"]}), tmp_path / "m.csv")
    table = read_predictions(path)
    assert [(one.index, one.text) for one in table.predictions] == [("q1", "B")]
    assert table.columns == ("Model Response", "question", "ID")


def test_the_first_sheet_by_its_place_and_rich_text(tmp_path: Path) -> None:
    import openpyxl
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    book = openpyxl.Workbook()
    second = book.create_sheet("other")
    second.append(["nothing"])
    first = book["Sheet"]
    first.append(["index", "prediction", "flag"])
    first.append([1, CellRichText("A ", TextBlock(InlineFont(b=True), "bold"), " B"), True])
    first.append([3, None, False])
    first.append([])
    first.append([4, 0.5, None])
    path = tmp_path / "m.xlsx"
    book.save(path)
    table = read_predictions(path)
    assert [(one.index, one.text) for one in table.predictions] == [("1", "A bold B"), ("3", ""), ("4", "0.5")]
    assert [row["flag"] for row in table.rows] == ["True", "False", ""]


def whole(tmp_path: Path, suffix: str) -> bytes:
    frame = pd.DataFrame({"index": range(50), "prediction": [f"reply {at}" for at in range(50)]})
    return dump(frame, tmp_path / f"whole.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["xlsx", "json"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(part=st.floats(0, 0.99))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"m.{suffix}"
    data = whole(tmp_path, suffix)
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(BadInput, match=r"m\.\w+"):
        read_predictions(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 0.999), value=st.integers(0, 255))
def test_a_damaged_spreadsheet_is_read_or_refused(tmp_path: Path, place: float, value: int) -> None:
    data = bytearray(whole(tmp_path, "xlsx"))
    data[int(len(data) * place)] = value
    path = tmp_path / "m.xlsx"
    path.write_bytes(bytes(data))
    try:
        read_predictions(path)
    except BadInput as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.xlsx", b"", "is empty"),
        ("m.csv", b"", "is empty"),
        ("m.json", b"", "is empty"),
        ("m.json", b"[]", "no column 'index'"),
        ("m.json", b"{}", "not one of columns"),
        ("m.json", b"7", "holds int"),
        ("m.json", b"[1]", "row 1: int where an object"),
        ("m.json", b'[{"index": 1', "is not whole JSON"),
        ("m.json", b"[" * 200_000, "cannot be read as JSON"),
        ("m.json", b'{"index": [1, 2], "prediction": ["A"]}', "different lengths"),
        ("m.json", b"\xff\xfe", "not UTF-8"),
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
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_predictions(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_an_absent_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_predictions(tmp_path / "no.xlsx")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        read_predictions(tmp_path / "d.csv")


def test_entities_in_a_spreadsheet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", '<workbook><sheets><sheet name="a" r:id="rId1"/></sheets></workbook>')
        archive.writestr("xl/_rels/workbook.xml.rels", "<Relationships/>")
        archive.writestr("xl/worksheets/sheet1.xml", '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet>&a;</worksheet>')
    with pytest.raises(BadInput, match="declares entities"):
        read_predictions(path)
