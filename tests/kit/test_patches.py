"""What the patches make of the real kit: runs of its own runner on copies, before and after."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from medqbench_vlmeval.kit.patching import State, apply, check, revert
from medqbench_vlmeval.kit_version import require_kit
from tests.canaries import leaks
from tests.kit.runs import PERCEPTION, newest
from tests.servers import JudgeServer

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
KEY, JUDGE_KEY, ARGS_KEY, SHORT = "sk-canary-key-1", "sk-canary-key-2", "canary-key-3", "k3y"


def copy_kit(target):
    """The installed kit as it came, with what Python has compiled of it."""
    kit = require_kit()
    shutil.copytree(kit.package, target / "vlmeval")
    if (kit.root / "run.py").is_file() and kit.commit:
        shutil.copy2(kit.root / "run.py", target / "run.py")
    revert(target)
    return target


def environment(kit, tmp_path, **more):
    (tmp_path / "lmu").mkdir(exist_ok=True)
    paths = os.pathsep.join([str(kit), str(REPOSITORY)])
    return {**os.environ, "PYTHONPATH": paths, "LMUData": str(tmp_path / "lmu"), "OMP_NUM_THREADS": "1", **more}


# Two runs of the kit's runner in one process, which imports the kit once; and whose prompt api mode takes.
_DRIVER = """
import asyncio, base64, io, json, os, runpy, sys
from pathlib import Path
from types import SimpleNamespace

script, base_url, out = sys.argv[1:4]
keys = sys.argv[4:]

def ended(*words):
    sys.argv = [script, *words]
    try:
        if Path(script).parent.name == "vlmeval":
            import vlmeval.run
            vlmeval.run.main()
        else:
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        return end.code
    return 0

async def prompt(force):
    from vlmeval.inference_api import APIEvalPipeline
    class Dataset(list):
        force_use_dataset_prompt = force
        dump_image = None
        build_prompt = staticmethod(lambda item: "the dataset's")
    pipeline = APIEvalPipeline.__new__(APIEvalPipeline)
    pipeline.queue = asyncio.Queue()
    model = SimpleNamespace(use_custom_prompt=lambda name: True, build_prompt=lambda item, dataset: "the model's")
    cfg = SimpleNamespace(model_obj=model, dataset_obj=Dataset([{"index": 1}]), dataset_name="d", model_name="m")
    await APIEvalPipeline._produce_image_tasks(pipeline, cfg, {})
    return (await pipeline.queue.get()).prompt_struct

def sent():
    # What two classes make of an image file, and its size where a limit is below it.
    from PIL import Image
    from vlmeval.api import GPT4V, Claude3V
    from vlmeval.smp import encode_image_to_base64
    path = next(Path(out).glob("*.png"))
    parts = [{"type": "image", "value": str(path)}]
    gpt = GPT4V("gpt-4o", key="none", api_base=base_url + "/chat/completions").prepare_itlist(parts)[0]["image_url"]
    claude = Claude3V(key="none", backend="official").prepare_itlist(parts)[0]["source"]
    own = base64.b64encode(path.read_bytes()).decode()
    small = encode_image_to_base64(Image.open(path), target_size=50, fmt="PNG")
    urls = gpt["url"], f"data:{claude['media_type']};base64,{claude['data']}"
    shrunk = Image.open(io.BytesIO(base64.b64decode(small)))
    return [url == f"data:image/png;base64,{own}" for url in urls] + [max(shrunk.size)]

words = ["--model", "m", "--base-url", base_url, "--retry", "1", "--judge", "gpt-4o", "--judge-base-url", base_url]
words += ["--data", "NoSuch", "Own", *keys]
found = {"api": ended(*words, "--work-dir", out + "/api", "--api-mode", "--api-nproc", "1", "--monitor-interval", "1")}
os.environ["VLMEVAL_MIN_IMAGE_EDGE"] = "1"
found["sent"] = sent()
del os.environ["VLMEVAL_IMAGE_BYTES"]
found["local"] = ended(*words, "--work-dir", out + "/local")
found["good"] = ended(*(word for word in words if word != "NoSuch"), "--work-dir", out + "/good")
found["prompts"] = [asyncio.run(prompt(force)) for force in (True, False)]
Path(out, "found.json").write_text(json.dumps(found))
"""


def run_both_modes(kit, folder):
    """Run the kit's runner on a dataset of one question and on one that does not exist: what was found, the images
    that the server got in each run, and where keys are below the folder."""
    folder.mkdir()
    picture = folder / "noise.png"
    Image.effect_noise((64, 48), 90).save(picture, compress_level=1)
    env = environment(kit, folder, VLMEVAL_IMAGE_BYTES="original")
    rows = [["index", "question", "A", "B", "answer", "image_path"], ["0", "Which?", "this", "that", "A", str(picture)]]
    (folder / "lmu" / "Own.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    script = next(path for path in (kit / "vlmeval/run.py", kit / "run.py") if path.is_file())
    keys = ["--key", KEY, f"--judge-key={JUDGE_KEY}", "--judge-args", json.dumps({"x_api_key": ARGS_KEY, "key": SHORT})]
    with JudgeServer("A") as server:
        command = [sys.executable, "-c", _DRIVER, str(script), server.base_url, str(folder), *keys]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert (folder / "found.json").is_file(), done.stderr[-3000:]
    assert {request.headers["authorization"] for request in server.requests} >= {f"Bearer {KEY}"}
    images = []
    for request in server.requests:
        parts = request.messages[-1]["content"]
        urls = [part["image_url"]["url"] for part in parts if isinstance(part, dict) and part["type"] == "image_url"]
        images += [(url.partition(";")[0], base64.b64decode(url.partition(",")[2])) for url in urls]
    found = json.loads((folder / "found.json").read_text())
    leaked = leaks([KEY, JUDGE_KEY, ARGS_KEY, f'"{SHORT}"'], folder, said=done.stdout + done.stderr)
    return found, images, leaked, picture.read_bytes()


def test_runs_of_the_kits_own_runner_before_and_after(tmp_path):
    kit = copy_kit(tmp_path / "kit")
    found, images, leaked, _ = run_both_modes(kit, tmp_path / "before")
    assert (found["api"], found["local"], found["good"]) == (0, 0, 0)
    assert found["prompts"] == ["the model's", "the model's"]
    assert [head for head, _ in images] == ["data:image/jpeg"] * 3
    assert found["sent"] == [False, False, 50]
    places = " ".join(leaked)
    assert "status.json" in places
    assert ".log" in places

    apply(kit, ["dataset-prompt", "exit-code", "image-bytes", "redact-keys"])
    found, after, leaked, picture = run_both_modes(kit, tmp_path / "after")
    assert (found["api"], found["local"], found["good"]) == (1, 1, 0)
    assert found["prompts"] == ["the dataset's", "the model's"]
    # The second and third run do not ask for the file itself.
    assert [head for head, _ in after] == ["data:image/png", "data:image/jpeg", "data:image/jpeg"]
    assert after[0][1] == picture
    assert found["sent"] == [True, True, 50]
    assert leaked == []
    for mode in ("api", "local"):
        status = json.loads(newest(tmp_path / "after" / mode, "status.json").read_text())
        assert status["datasets"]["Own"]["status"] == "done"
        assert status["datasets"]["Own"]["metrics"], "what could be run was evaluated"
        assert status["argv"][status["argv"].index("--key") + 1] == "***"


def test_two_processes_without_a_gpu_and_a_dataset_and_a_model_of_a_plugin(tmp_path):
    kit = copy_kit(tmp_path / "kit")
    apply(kit)
    assert {looked.state for looked in check(kit)} == {State.APPLIED}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runner = [str(kit / "run.py")] if (kit / "run.py").exists() else ["-m", "vlmeval"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", f"--master-port={port}", *runner]
    command += ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", "outputs"]
    env = environment(kit, tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    score = json.loads(newest(tmp_path / "outputs", f"MedQ-Chance_{PERCEPTION}_score.json").read_text())
    assert score["n"] == 75
    assert "could not be loaded" not in done.stdout + done.stderr
