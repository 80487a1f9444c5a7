"""What a run of the real kit says of how far it is."""

import pytest

from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.runs.progress import REPLIES_COMPLETE, ProgressFile, read_progress
from tests.kit.runs import COMPARATIVE, MODES, forget_keys, newest


@pytest.mark.slow
@MODES
def test_inference_is_counted_to_its_end_and_the_file_goes_with_the_result(kit, work, mode, monkeypatch):
    forget_keys(monkeypatch)
    told, write = [], ProgressFile.told

    def listen(file, stage, *numbers, **more):
        told.append((stage, *numbers[:2]))
        write(file, stage, *numbers, **more)

    monkeypatch.setattr(ProgressFile, "told", listen)
    words = ["--data", COMPARATIVE, "--model", "MedQ-Chance", "--judge", "rules", "--work-dir", str(work), *mode]
    assert run([*words, "--mode", "infer"]) == 0
    progress = read_progress(newest(work, f"MedQ-Chance_{COMPARATIVE}_progress.json"))
    assert (progress.model, progress.dataset, progress.stage) == ("MedQ-Chance", COMPARATIVE, REPLIES_COMPLETE)
    assert progress.done == progress.total == 20
    assert progress.log.endswith(".log")
    assert list(dict.fromkeys(stage for stage, *_ in told)) == ["loading", "inference", REPLIES_COMPLETE]
    assert [numbers for stage, *numbers in told if stage == "inference"] == [[done, 20] for done in range(21)]
    assert run([*words, "--mode", "eval"]) == 0
    # Of the run that was scored the file is gone; the kit's api-mode makes a folder for each run.
    assert not newest(work, f"MedQ-Chance_{COMPARATIVE}_score.json").with_name(progress_name()).exists()


def progress_name():
    return f"MedQ-Chance_{COMPARATIVE}_progress.json"
