"""Scored runs on a hub: what is sent, to whom, what is not replaced, and no key."""

import os
import subprocess
import sys

import pytest

from tests.commands import run
from tests.hub import Hub

pytestmark = pytest.mark.slow

TOKEN = "-".join(("local", "token", "of", "tests"))


@pytest.fixture
def runs(tmp_path, capsys):
    rows = "\n".join(f"{i},Is it sharp?,Yes,No,A,{'AB'[i % 2]}" for i in range(4))
    places = []
    for model in ("M/one", "two"):
        folder = tmp_path / model.replace("/", "-")
        folder.mkdir()
        predictions = folder / "p.csv"
        predictions.write_text(f"index,question,A,B,answer,prediction\n{rows}\n", encoding="utf-8")
        assert run(capsys, "score", predictions, "--model", model, "--out", folder)[0] == 0
        places.append(folder)
    return places


def pushed(hub, *arguments, token=TOKEN):
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": token}
    command = [sys.executable, "-m", "medqbench_vlmeval", "push", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def is_private(made):
    """As clients of different ages say it."""
    return made["private"] if "private" in made else made["visibility"] == "private"


def test_a_dataset_holds_predictions_results_cards_and_the_page(runs):
    with Hub(TOKEN) as hub:
        done = pushed(hub, *runs, "--repo", "me/results")
        assert done.returncode == 0, done.stderr
        assert is_private(hub.made[0])
        files = hub.repositories["datasets/me/results"]
        assert set(files) == {"README.md", "report.html"} | {
            f"runs/{stem}/{name}"
            for stem in ("M--one_custom", "two_custom")
            for name in (f"{stem}_score.json", f"{stem}_samples.jsonl", "p.csv", "card.md")
        }
        assert files["runs/two_custom/p.csv"] == (runs[1] / "p.csv").read_bytes()
        readme = files["README.md"].decode()
        assert "[M/one on custom](runs/M--one_custom/card.md): not comparable" in readme
        assert "| M/one† |" in readme
        assert f"10 files sent to {hub.address}/datasets/me/results" in done.stdout
        # Again, to the same place: its own README may be renewed.
        assert pushed(hub, runs[0], "--repo", "me/results").returncode == 0
        assert not any(TOKEN.encode() in content for content in files.values())


def test_a_space_shows_the_page_and_may_be_public(runs):
    with Hub(TOKEN) as hub:
        done = pushed(hub, runs[0], "--repo", "me/page", "--space", "--public")
        assert done.returncode == 0, done.stderr
        assert hub.made[0]["sdk"] == "static"
        assert not is_private(hub.made[0])
        files = hub.repositories["spaces/me/page"]
        assert b"sdk: static" in files["README.md"]
        assert b"MedQ-Bench report" in files["index.html"]


def test_somebodys_readme_is_not_replaced_and_a_refusal_is_told_without_the_token(runs):
    with Hub(TOKEN) as hub:
        hub.repositories["datasets/me/other"] = {"README.md": b"# Mine\n"}
        done = pushed(hub, runs[0], "--repo", "me/other")
        assert (done.returncode, done.stdout) == (2, "")
        assert "me/other has a README of somebody's" in done.stderr
        assert hub.repositories["datasets/me/other"] == {"README.md": b"# Mine\n"}
        done = pushed(hub, runs[0], "--repo", "me/results", token="another-local-token")
        assert done.returncode == 1
        assert "The hub refused me/results" in done.stderr
        assert "another-local-token" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_dry_run_names_the_files_and_sends_nothing(runs, capsys):
    (runs[1] / "p.csv").write_text("changed")
    code, out, err = run(capsys, "push", *runs, "--repo", "me/results", "--dry-run")
    assert code == 0
    assert "runs/M--one_custom/p.csv" in out
    assert "runs/two_custom/p.csv" not in out
    assert "9 files to be sent" in out
    assert "Without their predictions, which do not lie beside the results: two on custom" in err


def test_a_secret_of_the_environment_is_found_in_base64_too(runs, capsys, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "very-secret-words")
    path = next(runs[0].glob("*_samples.jsonl"))
    path.write_text(path.read_text().replace("sharp?", "dmVyeS1zZWNyZXQtd29yZHM= ?"))
    code, _, err = run(capsys, "push", runs[0], "--repo", "me/results", "--dry-run")
    assert (code, "holds what looks like a key" in err) == (2, True)


def test_a_file_with_a_key_and_a_name_that_is_none_are_refused(runs, capsys):
    for name in ("results", "../x", "me/x?y", "me/.", "me/x\n"):
        code, _, err = run(capsys, "push", runs[0], "--repo", name, "--dry-run")
        assert code == 2
        assert "is no repository's name" in err
    path = next(runs[0].glob("*_samples.jsonl"))
    key = "sk-" + "a1" * 12
    path.write_text(path.read_text().replace("Is it sharp?", f"Is it {key}?"))
    code, _, err = run(capsys, "push", runs[0], "--repo", "me/results", "--dry-run")
    assert code == 2
    assert "M--one_custom_samples.jsonl holds what looks like a key" in err
    assert key not in err
