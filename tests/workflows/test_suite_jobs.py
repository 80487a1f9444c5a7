"""The YAML file of a suite: what it may say, and what is said of what it may not."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.data.registered import register
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.workflows.suite_jobs import TEMPLATE, jobs_of, read_suite

OF = "datasets: [MedQBench_Perception_mini]\nmodels:\n"
LEAST = "datasets: [MedQBench_Perception_mini]\nmodels: [MedQ-Chance]\n"


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "weekend.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_least_that_a_file_may_say(written, tmp_path):
    suite = read_suite(written(LEAST))
    assert suite.folder == tmp_path / "weekend"
    assert [model.name for model in suite.models] == ["MedQ-Chance"]
    assert (suite.local.jobs, suite.slurm.time, suite.judges, suite.limit) == (2, 1440, (), None)
    # A multiple-choice set is scored without a judge: one inference, one scoring.
    assert [job.name for job in jobs_of(suite)] == [
        "MedQ-Chance MedQBench_Perception_mini",
        "MedQ-Chance MedQBench_Perception_mini scored",
    ]


def test_the_file_that_init_writes_can_be_read(written, monkeypatch):
    text = TEMPLATE.read_text(encoding="utf-8")
    suite = read_suite(written(text))
    assert len(jobs_of(suite)) == 4  # two datasets: inference and scoring of each
    # Every line in comments can be taken in, too.
    monkeypatch.setenv("MY_MODEL_KEY", "k")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    lines = [re.sub("^#(?!#)", "", line) for line in text.splitlines()]
    whole = read_suite(written("\n".join(lines)))
    assert [model.name for model in whole.models] == ["MedQ-Classical", "Qwen2.5-VL-7B", "InternVL3-8B", "my-model"]
    assert [judge.name for judge in whole.judges] == ["rules", "gpt-4o"]
    assert (whole.limit, whole.prompt_style, whole.second_pass, whole.budget_usd) == (200, "letter", True, 20)
    assert (whole.slurm.partition, whole.slurm.time, whole.slurm.mem) == ("gpu", 720, "64GB")


def test_jobs_say_what_is_run_and_what_each_needs(written, monkeypatch):
    monkeypatch.setenv("OWN_KEY", "k")
    suite = read_suite(
        written(
            "datasets: [MedQBench_Perception_mini, MedQBench_Reasoning_NoReference_mini]\n"
            "models:\n- name: lab/net\n  base_url: [http://a:1/v1, http://b:1/v1]\n  key_env: OWN_KEY\n"
            "  options: {max-tokens: 64, verbose: true, local-media: false}\n"
            "judges: [rules, gpt-4o]\nlimit: 9\nprompt_style: reasoning\nsecond_pass: true\n"
        )
    )
    jobs = {job.name: job for job in jobs_of(suite)}
    first, second = "lab/net MedQBench_Perception_mini", "lab/net MedQBench_Perception_mini_robustness"
    described = "lab/net MedQBench_Reasoning_NoReference_mini"
    # Of descriptions there is no second pass.
    assert [(name, job.kind, job.needs) for name, job in jobs.items()] == [
        (first, "infer", ()),
        (f"{first} scored", "judge", (first,)),
        (second, "infer", ()),
        (f"{second} compared", "passes", (first, second)),
        (described, "infer", ()),
        (f"{described} rules", "judge", (described,)),
        (f"{described} gpt-4o", "judge", (described,)),
    ]
    job = jobs[first]
    assert job.words[: job.words.index("--work-dir")] == (
        *("run", "--data", "MedQBench_Perception_mini", "--model", "lab/net", "--mode", "infer", "--reuse"),
        *("--limit", "9", "--base-url", "http://a:1/v1,http://b:1/v1", "--prompt-style", "reasoning"),
        *("--max-tokens", "64", "--verbose"),
    )
    assert (job.gpus, job.key_env) == (0, "OWN_KEY")
    assert "OWN_KEY" not in " ".join(job.words)
    assert jobs[f"{described} gpt-4o"].words[-4:-2] == ("--judge", "gpt-4o")
    # Names of files do not leave their folder, and are each another.
    assert len({job.file_name for job in jobs.values()}) == 7
    assert not any("/" in job.file_name for job in jobs.values())


@pytest.mark.parametrize(
    ("more", "same"),
    [
        ("local: {jobs: 5}", True),
        ("slurm: {cpus_per_task: 1}", True),
        ("budget_usd: 3", True),
        ("limit: 5", False),
        ("prompt_style: letter", False),
    ],
)
def test_a_job_has_another_key_where_its_inputs_are_others(written, more, same):
    before = [job.key for job in jobs_of(read_suite(written(LEAST)))]
    after = [job.key for job in jobs_of(read_suite(written(LEAST + more)))]
    assert [one == other for one, other in zip(before, after, strict=True)] == [same, same]


def test_a_set_of_ones_own_whose_file_changes_is_another_input(written, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "set"
    folder.mkdir()
    rows = "index,question,A,B,answer\n1,Is it sharp?,Yes,No,A\n".replace(",", "\t")
    (folder / "medqbench_QA_test.tsv").write_text(rows, encoding="utf-8")
    register(folder, "clinic")
    text = "datasets: [clinic]\nmodels: [MedQ-Chance]\njudges: [rules]\n"
    before = [job.key for job in jobs_of(read_suite(written(text)))]
    assert before == [job.key for job in jobs_of(read_suite(written(text)))]
    file = next(folder.glob("*QA*.tsv"))
    file.write_text(file.read_text(encoding="utf-8").replace("?", "??"), encoding="utf-8")
    assert before != [job.key for job in jobs_of(read_suite(written(text)))]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (OF + "- MedQ-Chanse\n", 3, "Did you mean 'MedQ-Chance'?"),
        ("datasets: [MedQBench_Percepton]\nmodels: [MedQ-Chance]\n", 1, "Did you mean 'MedQBench_Perception'"),
        (LEAST + "modles: [a]\n", 3, "'modles' is unknown. Did you mean 'models'?"),
        (LEAST + "local:\n  job: 3\n", 4, "'job' is unknown. Did you mean 'jobs'?"),
        (OF + "- name: MedQ-Chance\n  gpu: 2\n", 4, "Did you mean 'gpus'?"),
        (OF + "- MedQ-Chance\n- {gpus: 2}\n", 4, "'name' is missing"),
        ("models: [MedQ-Chance]\n", 1, "'datasets' is missing"),
        (LEAST + "limit: 0\n", 3, "greater than or equal to 1"),
        (LEAST + "limit: many\n", 3, "valid integer"),
        (LEAST + "judges: [rulez]\n", 3, "Did you mean 'rules'?"),
        (LEAST + "judges:\n- name: a\n  protocol: rubrik\n", 4, "rubrik"),
        (LEAST + "judges:\n- name: a\n  args: {nprok: 3}\n", 4, "nprok"),
        (LEAST + "judges:\n- name: a\n  args: {key: abc}\n", 4, "key_env"),
        (LEAST + "judges: [a, a]\n", 1, "stands twice"),
        (LEAST + "slurm: {time: soon}\n", 3, "valid integer"),
        (LEAST + "slurm: {}\nslurm: {}\n", 4, "a key stands twice"),
        (LEAST + "prompt_style: leter\n", 3, "letter"),
        ("datasets: [MedQBench_Reasoning_mini]\nmodels: [MedQ-Chance]\n", 1, "needs judges"),
        (
            OF + "- name: x\n  base_url: http://a/v1\n  key_env: NO_SUCH_KEY\n",
            5,
            "is not set",
        ),
        (
            OF + "- name: MedQ-Chance\n  base_url: nohost\n",
            4,
            "http://host:port/v1",
        ),
        (
            OF + "- name: MedQ-Chance\n  options: {work-dir: /}\n",
            3,
            "the suite gives",
        ),
        (
            OF + "- name: MedQ-Chance\n  options: {api-key: k}\n",
            3,
            "key_env",
        ),
        ("datasets: [a\nmodels: [b]\n", 2, "is not YAML"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_line(written, text, line, words):
    path = written(text)
    with pytest.raises(BadInput) as error:
        read_suite(path)
    assert str(error.value).startswith(f"{path}, line {line}")
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["", "a", "- a\n", "a: &a [*a]\n", "\x00", "a: !!python/object:os.system {}\n"])
def test_what_is_no_suite_at_all_is_bad_input(written, text):
    with pytest.raises(BadInput, match=r"weekend\.yaml"):
        read_suite(written(text))


@pytest.mark.parametrize("half", [r"\ud83d", r"\ud83d\ude00"])  # JSON writes one character as the latter, YAML does not
@pytest.mark.parametrize("line", ['datasets: ["{}"]', 'models: ["{}"]', '"{}": 1', 'folder: "a/{}"'])
def test_half_a_character_is_refused(written, half, line):
    with pytest.raises(BadInput, match=r"weekend\.yaml is not YAML: a part of a character is escaped alone"):
        read_suite(written(line.format(half)))


def test_a_key_in_the_place_of_a_variable_is_refused_and_not_shown(written):
    key = "sk-proj-" + "a1B2" * 12
    with pytest.raises(BadInput) as error:
        read_suite(written(OF + f"- name: MedQ-Chance\n  key_env: {key}\n"))
    assert key not in str(error.value)
    assert "never holds the key itself" in str(error.value)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=8) | st.sampled_from(["rules", "MedQ-Chance"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(["datasets", "models", "judges", "limit", "local", "slurm", "folder", "budget_usd", "else"])


@given(content=st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_any_yaml_is_a_suite_or_bad_input(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "s.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")  # which is YAML, too
    try:
        jobs_of(read_suite(path))
    except BadInput as error:
        assert "s.yaml" in str(error)
