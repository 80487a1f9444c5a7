"""The release: one version, a wheel and an sdist that work in an empty environment, licences, and the forge's files."""

import csv
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import setuptools

import medqbench_vlmeval
from medqbench_vlmeval import load

ROOT = Path(__file__).parents[1]
MINI = ROOT / "medqbench_vlmeval" / "data" / "mini"
FORGE = ROOT / ".github"


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def tracked(folder="."):
    """The files of the source tree that git knows; the test is left out where there is none, as in an sdist."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git checkout")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture
def setup_of(monkeypatch):
    """What setup.py gives to setuptools."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: given.update(keywords))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_the_version_stands_in_one_place(setup_of):
    version = medqbench_vlmeval.__version__
    assert setup_of["version"] == version
    # A citation names the version that was used; the changes are listed under the one to come.
    assert f"\nversion: {version}\n" in text_of("CITATION.cff")
    assert re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.M).group(1) == version
    others = ["Dockerfile", "pyproject.toml", "mkdocs.yml", ".ci/run", ".github/workflows/ci.yml", "setup.py"]
    assert [name for name in others if version in text_of(name)] == []


def test_the_package_says_its_licence_as_spdx_has_it(setup_of):
    assert setup_of["license_expression"] == "Apache-2.0"
    assert setup_of["license_files"] == ["LICENSE", "NOTICE"]
    assert text_of("LICENSE").split()[:3] == ["Apache", "License", "Version"]


def test_every_image_that_is_shipped_has_a_source_and_a_licence():
    provenance = json.loads((MINI / "PROVENANCE.json").read_text(encoding="utf-8"))
    images = {path.name for path in (MINI / "images").iterdir()}
    assert {*provenance["images"]} == images
    notice = text_of("NOTICE")
    for source in {entry["source"] for entry in provenance["images"].values()}:
        told = provenance["sources"][source]
        assert told["licence"] and told["package"] and told["origin"], source
        (line,) = [line for line in notice.splitlines() if re.search(rf"^  .*\b{source}\b", line)]
        # What the notice says of a source is the licence that its record begins with.
        licence = re.match(r"MIT|BSD-3-Clause|CC0 1\.0|No known copyright restrictions|Apache-2\.0", told["licence"])
        expected = "ICBM 152" if source.startswith("brain") else licence.group()
        assert expected.lower() in line.lower(), source
        # The holder of a copyright that the record names stands in the notice.
        for holder in re.findall(r"Copyright (?:\(c\) )?([\d-]+ [\w ]+?)(?:,| and| \()", told["licence"], re.I):
            assert holder in notice, holder


def test_every_file_of_the_package_is_in_the_wheel(setup_of):
    files = [name for name in tracked("medqbench_vlmeval") if not name.endswith(".py")]
    globs = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, names in setup_of["package_data"].items()
        for pattern in names
    ]
    assert len(files) > 150
    # A '*' of setuptools stays in its folder.
    matches = {
        pattern: [name for name in files if fnmatch(name, pattern) and name.count("/") == pattern.count("/")]
        for pattern in globs
    }
    assert [pattern for pattern, found in matches.items() if not found] == []
    assert {*files} - {name for found in matches.values() for name in found} == set()


def test_every_file_of_the_source_tree_is_in_the_sdist():
    manifest = [line.split() for line in text_of("MANIFEST.in").splitlines() if line and not line.startswith("#")]
    grafted = [words[1] for words in manifest if words[0] == "graft"]
    named = {name for words in manifest if words[0] == "include" for name in words[1:]}
    left = [name for name in tracked() if name not in named and name.split("/")[0] not in grafted]
    assert left == [], "name them in MANIFEST.in"
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_image_is_made_of_named_files_by_a_user_without_rights():
    ignore = text_of(".dockerignore").splitlines()
    assert [line for line in ignore if line[:1] not in "#!"] == ["*", "**/__pycache__"]
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    assert [name for name in allowed if not (ROOT / name).exists()] == []
    docker = text_of("Dockerfile")
    assert docker.index("\nUSER 1000\n") < docker.index('\nENTRYPOINT ["medqbench"]\n')
    assert not re.search(r"^(ARG|ENV) \S*(KEY|TOKEN|SECRET)", docker, re.M)
    script = subprocess.run(
        ["bash", str(ROOT / "scripts" / "docker.sh")], capture_output=True, text=True, check=False,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"},
    )  # fmt: skip
    assert (script.returncode, script.stderr.count("\n")) == (1, 1)
    assert "the image was not built" in script.stderr


def test_the_forge_runs_what_everybody_runs():
    workflow = text_of(".github/workflows/ci.yml")
    assert "- run: .ci/run\n" in workflow
    assert "permissions:\n  contents: read\n" in workflow
    jobs = re.findall(r"^  \w+:\n    name:", workflow, re.M)
    assert len(re.findall(r"timeout-minutes: \d+", workflow)) == len(jobs) > 0
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action) for action in re.findall(r"uses: (\S+)", workflow))
    hooks, everything = text_of(".pre-commit-config.yaml"), text_of(".ci/run")
    for command in ("ruff check", "ruff format", "mypy"):
        assert f"entry: {command}" in hooks and f"\n{command}" in everything, command
    assert "\npip check\n" in everything


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("vendor.github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("vendor.citation-file-format", "../CITATION.cff"),
    ],
)
def test_forge_files_are_what_their_readers_take(schema, files):
    pytest.importorskip("check_jsonschema")
    paths = sorted(map(str, FORGE.glob(files)))
    assert paths
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md", "README.md"])
def test_links_of_the_first_pages_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text_of(name)):
        assert "://" in target or (ROOT / target).exists(), target


def test_nobody_is_told_to_install_what_is_on_no_registry():
    """The package is on no registry yet: it is installed from a checkout or a built file, and then takes extras."""
    told = re.compile(r"pip install (-U |--upgrade )?['\"]?medqbench[-_]vlmeval(?!\[)")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert not told.search(path.read_text(encoding="utf-8")), path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist of the files that git knows, the wheel built from the sdist, as 'build' does it."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.slow
def test_what_is_in_the_wheel_and_in_the_sdist(built):
    wheel, sdist = built
    version = medqbench_vlmeval.__version__
    assert [path.name for path in built] == [
        f"medqbench_vlmeval-{version}-py3-none-any.whl", f"medqbench_vlmeval-{version}.tar.gz"
    ]  # fmt: skip
    files = set(tracked())
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {"PKG-INFO", "setup.cfg"}
    assert files - names == set()
    assert {name for name in names - files - made if ".egg-info/" not in name} == set()
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"medqbench_vlmeval-{version}.dist-info/METADATA").decode("utf-8")
        notice = archive.read(f"medqbench_vlmeval-{version}.dist-info/licenses/NOTICE").decode("utf-8")
    assert {name for name in files if name.startswith("medqbench_vlmeval/")} - shipped == set()
    # Patches of the kit are the one thing that comes from elsewhere.
    assert {name for name in shipped if not name.startswith("medqbench_vlmeval/")} == set()
    assert {name for name in shipped - files if not name.endswith((".patch", ".md", ".json"))} == set()
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert notice == text_of("NOTICE")


def predictions_of(dataset, path):
    """Right answers to the first half and replies without one to the rest; reference texts as descriptions."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "question", "prediction"])
        for place, sample in enumerate(samples := load(dataset)):
            reply = sample.description or (f"The answer is {sample.answer}." if 2 * place < len(samples) else "Hm.")
            writer.writerow([sample.index, sample.question or "", reply])
    return path


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(built, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    # Settings of pip, such as a mirror and its cache of packages, are the user's; all else is new.
    users = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MEDQBENCH", "LMU"))}
    new = {**users, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*command, environment=new):
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, command
        return done.stdout

    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-compile", built[0], environment=users)
    run(*pip, "check")
    installed = run(*pip, "list", "--format", "freeze")
    assert not re.search(r"^(torch|ms-vlmeval|vlmeval|pytest)==", installed, re.M)
    medqbench = tmp_path / "venv" / "bin" / "medqbench"
    assert medqbench_vlmeval.__version__ in run(medqbench, "--version")
    assert "Usage" in run(medqbench, "--help")
    assert "VLMEvalKit" in run(medqbench, "doctor")
    assert "official" in run(medqbench, "list", "styles")
    assert "GPT-5" in run(medqbench, "leaderboard", "show")
    assert "75" in run(medqbench, "data", "info", "MedQBench_Perception_mini", "--images")
    overall = {}
    for dataset in ("MedQBench_Perception_mini", "MedQBench_Reasoning_mini", "MedQDeg_mini"):
        replies = predictions_of(dataset, tmp_path / f"M_{dataset}.csv")
        run(medqbench, "score", replies, "--data", dataset, "--judge", "rules", "--out", tmp_path / "scored")
        content = json.loads((tmp_path / "scored" / f"M_{dataset}_score.json").read_text(encoding="utf-8"))
        overall[dataset] = content.get("Overall")
    # 38 of 75 and 20 of 40.
    assert overall == {
        "MedQBench_Perception_mini": pytest.approx(100 * 38 / 75), "MedQBench_Reasoning_mini": None, "MedQDeg_mini": 50
    }  # fmt: skip
    run(medqbench, "report", tmp_path / "scored", "--out", tmp_path / "report")
    assert list((tmp_path / "report").glob("*.html"))
    places = "import medqbench_vlmeval, sys; print(medqbench_vlmeval.__file__)"
    assert str(tmp_path / "venv") in run(python, "-c", places)
