"""A merged file in the public leaderboard's table: every row is shown, and no run breaks the table of the others."""

import json
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from medqbench_vlmeval.benchmark import MODALITIES, Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit_version import InstalledKit
from medqbench_vlmeval.report.leaderboard.openvlm import merge, meta_json
from tests import make
from tests.report.leaderboard.results import result

TEST = "MedQBench_Perception_test"
# What gen_table.py and meta_data.py of the Space https://huggingface.co/spaces/opencompass/open_vlm_leaderboard do with
# such a file, as stored copies of 2024 and 2025 have it: columns of META, of a dataset those of the first model that
# has it, sizes as numbers, and filters by size and by openness in which the empty text is in no class.
FIELDS = ("Method", "Parameters", "Language Model", "Vision Model", "OpenSource", "Verified")
KINDS = {("Yes", "Yes"): "open", ("Yes", "No"): "open", ("No", "Yes"): "API", ("No", "No"): "proprietary"}


def public_table(file, dataset):
    """The rows that a visitor sees with all filters on, by the shown name."""
    models = {name: of for name, of in json.loads(file.read_text(encoding="utf-8"))["results"].items() if dataset in of}
    heads = list(next(iter(models.values()))[dataset])
    columns = defaultdict(list)
    for of in models.values():
        for field in FIELDS:
            columns[field].append(of["META"][field])
        for head in heads:
            columns[head].append(of[dataset][head])
    columns["Method"] = [f'<a href="{url}">{name}</a>' for name, url in columns["Method"]]
    columns["Parameters"] = [float(size.replace("B", "")) if size else None for size in columns["Parameters"]]
    frame = pd.DataFrame(columns).sort_values("Overall", ascending=False)
    assert all(pd.api.types.is_numeric_dtype(frame[head]) for head in heads)
    kinds = [KINDS.get(pair) for pair in zip(frame["OpenSource"], frame["Verified"], strict=True)]
    return frame.assign(kind=kinds).dropna(subset="kind").set_index("Method")


def scores(*results):
    return [(Path(f"{one.model}_score.json"), one) for one in results]


def members_of(file):
    return json.loads(file.read_text(encoding="utf-8"))["results"]


@pytest.fixture
def file(tmp_path):
    """The public file in small: a model that was evaluated elsewhere, under the names that this file gives it."""
    meta = {
        "Method": ["Qwen2.5-VL-7B", "https://huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct"], "Parameters": "8.29B",
        "Language Model": "Qwen2.5-7B", "Vision Model": "QwenViT", "Org": "Alibaba", "Time": "2025/01/26",
        "Verified": "Yes", "OpenSource": "Yes", "dir_name": "Qwen2.5-VL-7B-Instruct",
    }  # fmt: skip
    path = tmp_path / "OpenVLM.json"
    board = {"time": "20250917101112", "results": {"Qwen2.5-VL-7B-public": {"META": meta, "MMStar": {"Overall": 1.0}}}}
    path.write_text(json.dumps(board), encoding="utf-8")
    return path


def test_every_run_is_a_row_of_the_table(file):
    results = [
        result(name, dataset=TEST, overall=float(20 + place))
        for place, name in enumerate(("Qwen2.5-VL-7B", "GPT-5", "InternVL3-38B", "MedQ-Classical", "Own-2.5B-tuned"))
    ]
    report = merge(file, scores(*results))
    assert report.taken_for_closed == ("Own-2.5B-tuned",)
    table = public_table(file, TEST)
    names = [name.partition(">")[2].removesuffix("</a>") for name in table.index]
    assert names == ["Own-2.5B-tuned", "MedQ-Classical", "InternVL3-38B", "GPT-5", "Qwen2.5-VL-7B"]
    assert list(table["kind"]) == ["proprietary", "open", "open", "proprietary", "open"]
    assert table["Parameters"].tolist() == pytest.approx([2.5, float("nan"), 38, float("nan"), 8.29], nan_ok=True)
    assert {"How", "comparable_with_published", *MODALITIES} < {*table.columns}
    assert [member["META"]["Time"] for member in members_of(file).values()] == ["2025/01/26", *4 * ["2026/11/22"]]


@pytest.mark.parametrize(
    ("there", "run", "same"),
    [
        ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B", True),
        ("Qwen2.5-VL-7B", "Qwen2.5-VL-7B-Instruct", True),
        ("gpt-5-2025-08-07", "gpt-5", True),
        ("GPT-4o", "GPT4o_20241120", True),
        # Another snapshot, and another size.
        ("GPT-4o", "GPT4o_20240806", False),
        ("GPT4o_20240806", "GPT-4o", False),
        ("InternVL3-8B", "InternVL3-38B", False),
    ],
)
def test_names_of_one_model(tmp_path, there, run, same):
    file = tmp_path / "board.json"
    merge(file, scores(result(there, dataset=TEST, overall=1.0)))
    report = merge(file, scores(result(run, dataset=TEST)))
    assert report.members == ((there if same else run, TEST),)
    assert len(public_table(file, TEST)) == (1 if same else 2)


def test_a_model_is_found_by_what_its_meta_says(file):
    for name in ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B"):
        assert merge(file, scores(result(name, dataset=TEST))).members == (("Qwen2.5-VL-7B-public", TEST),)


def test_openness_is_said_by_the_user_and_fills_an_empty_one(file):
    board = json.loads(file.read_text(encoding="utf-8"))
    meta = board["results"]["Qwen2.5-VL-7B-public"]["META"]
    meta["OpenSource"] = ""
    file.write_text(json.dumps(board), encoding="utf-8")
    merge(file, scores(result("Qwen2.5-VL-7B", dataset=TEST)))
    assert members_of(file)["Qwen2.5-VL-7B-public"]["META"] == {**meta, "OpenSource": "Yes"}
    assert merge(file, scores(result("Own", dataset=TEST)), open_source=True).taken_for_closed == ()
    assert members_of(file)["Own"]["META"]["OpenSource"] == "Yes"
    # Later exports keep it.
    merge(file, scores(result("Own", dataset=TEST, overall=1.0)))
    assert members_of(file)["Own"]["META"]["OpenSource"] == "Yes"


LIMITED = "only 20 of 1305 samples were run"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (result(dataset=TEST, modalities=MODALITIES[:4]), "has no 'Fundus'"),
        (result(dataset=TEST, modalities=(*MODALITIES, "unknown")), "has samples of unknown modality"),
        (result(dataset=TEST, values={"How": None}), "has no 'How'"),
        (result(dataset=TEST, because=("other", LIMITED)), rf"is partial \({LIMITED}\)"),
        (result(task=Task.NO_REFERENCE, modalities=("CT",)), "has no 'MRI'"),
    ],
)
def test_a_partial_run_is_refused(file, run, words):
    before = file.read_bytes()
    with pytest.raises(BadInput, match=rf"_score\.json \(.*\) {words}; run and score the whole dataset"):
        merge(file, scores(run))
    assert file.read_bytes() == before


def test_a_limited_or_incomplete_run_says_so_itself(tmp_path):
    """The reasons are the ones that scoring writes."""
    from medqbench_vlmeval import score

    rows = "\n".join(f"{n},Is it sharp?,Yes,No,A,CT,A" for n in range(4))
    data, replies = tmp_path / "mine.csv", tmp_path / "replies.csv"
    data.write_text(f"index,question,A,B,answer,modality,prediction\n{rows}\n", encoding="utf-8")
    replies.write_text("index,question,prediction\n0,Is it sharp?,A\n", encoding="utf-8")
    for run, words in (
        (score(data, out=tmp_path / "out", limit=2), r"is partial \(only 2 of 4 samples"),
        (score(replies, out=tmp_path / "out", data=data), "lacks the predictions of 3 of 4"),
    ):
        with pytest.raises(BadInput, match=words):
            merge(tmp_path / "board.json", scores(run.result))


def test_members_of_one_dataset_have_the_same_keys(tmp_path):
    file = tmp_path / "board.json"
    one, two = (result(name, dataset="custom", modalities=kinds) for name, kinds in (("A", "XY"), ("B", "X")))
    merge(file, scores(one))
    before = file.read_bytes()
    words = "'MedQBench_Perception_custom' of 'B' or of 'A' lacks 'Y'.*take 'A' out"
    with pytest.raises(BadInput, match=words):
        merge(file, scores(two))
    assert file.read_bytes() == before
    # Another run of A itself takes the place of the first, and leaves nothing to be apart from.
    report = merge(file, scores(result("A", dataset="custom", modalities="X", overall=1.0)))
    assert report.changed
    with pytest.raises(BadInput, match="lacks 'Y'"):
        merge(tmp_path / "new.json", scores(two, one))


def test_medq_deg_keeps_the_modalities_of_its_file(tmp_path):
    run = make.degraded_run()
    merge(tmp_path / "board.json", scores(run.result))
    table = public_table(tmp_path / "board.json", "MedQDeg_mini")
    assert table[["L0", "L1", "L2", "CT"]].iloc[0].tolist() == pytest.approx([100, 200 / 3, 25, 200 * 23 / 72])


CONFIG = """
from functools import partial
first = {"Model-X": partial(vlm.X, model_path="old/one"), "Local": partial(vlm.X, model_path="/data/weights")}
second = {"Model-X": partial(X, model_path="Some-Org/Model.X-7B", size=7), "Api": partial(api.GPT4V, model="org/y")}
third = {"Bare": partial(vlm.Z), "Odd": 3, **first}
"""


def test_meta_holds_what_the_kit_says_and_no_more(tmp_path):
    config, kit = tmp_path / "config.py", InstalledKit(tmp_path, "ms-vlmeval", "0", None)
    config.write_text(CONFIG, encoding="utf-8")
    meta = meta_json("Model-X", kit=kit)
    assert meta["Method"] == ["Model-X", "https://huggingface.co/Some-Org/Model.X-7B"]
    assert (meta["OpenSource"], meta["Verified"], meta["Org"], meta["Parameters"]) == ("Yes", "No", "Some-Org", "")
    assert [meta_json(name, kit=kit)["OpenSource"] for name in ("Local", "Bare", "Odd", "absent")] == [""] * 4
    assert meta_json("Api", kit=kit)["OpenSource"] == "No"
    # Another name in the file: what the kit calls the model is its folder.
    assert meta_json("Mine", result("Model-X").tasks[0], kit)["dir_name"] == "Model-X"
    for text in ("def", "\x00"):
        config.write_text(text, encoding="utf-8")
        assert meta_json("Model-X", kit=kit)["Method"] == ["Model-X", ""]
    config.unlink()
    assert meta_json("Model-X", kit=kit)["Method"] == ["Model-X", ""]
