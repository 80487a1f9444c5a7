"""What leaves the process for a model, and what the record of it says: real servers, real classes of the kit."""

import base64
import contextlib
import hashlib
import io
import json
import os
from pathlib import Path

import pytest
import requests
from PIL import Image

from medqbench_vlmeval.benchmark import parse_dataset_name
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.model_use import (
    BYTES_VARIABLE,
    DETAIL_VARIABLE,
    IMAGE_BYTES,
    ModelRecorder,
    chosen,
    original_bytes,
    psnr,
    unwatched,
    written_at_the_end,
)
from medqbench_vlmeval.kit.options import in_environment, read_options
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.model_use import Spread
from medqbench_vlmeval.runs.provenance import read_model_use
from medqbench_vlmeval.workflows.evaluate import evaluate, request_for
from tests.kit.runs import COMPARATIVE, MODES, PERCEPTION, forget_keys, newest, score_of
from tests.servers import JudgeServer, Sent

KEY = "sk-a-key-of-the-model-under-test"


@pytest.fixture(autouse=True)
def _as_the_kit_does(monkeypatch):
    for name in (BYTES_VARIABLE, DETAIL_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def noisy(tmp_path):
    """A PNG of 120 x 100 pixels that JPEG cannot keep."""
    path = tmp_path / "noisy.png"
    Image.effect_noise((120, 100), 80).save(path)
    return path


def arrived(server):
    """The images of each request: the data URI's head, the bytes and the detail."""
    for request in server.requests:
        for part in request.messages[-1]["content"]:
            if part["type"] == "image_url":
                head, _, text = part["image_url"]["url"].partition(",")
                yield head, base64.b64decode(text), part["image_url"].get("detail")


def sha256s(contents):
    return {hashlib.sha256(content).hexdigest() for content in contents}


def asked(*files):
    return [*({"type": "image", "value": str(file)} for file in files), {"type": "text", "value": "Which?\n"}]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((10, 10, 10), (10, 10, 10), None),
        ((10, 10, 10), (11, 11, 11), 48.1308),  # a mean squared error of 1: 20 log10(255)
        ((10, 10, 10), (13, 10, 10), 43.3597),  # of 3: one channel of three differs by 3
        ((0, 0, 0), (255, 255, 255), 0.0),
    ],
)
@pytest.mark.parametrize("size", [(8, 8), (16, 24)])
def test_psnr(first, second, expected, size):
    value = psnr(Image.new("RGB", (8, 8), first), Image.new("RGB", size, second))
    assert value == (expected if expected is None else pytest.approx(expected, abs=1e-3))


@pytest.mark.parametrize(
    ("form", "mode", "mime", "kept"),
    [
        ("PNG", "L", "image/png", True),
        ("JPEG", "RGB", "image/jpeg", True),
        ("GIF", "P", "image/png", False),
        ("BMP", "RGB", "image/png", False),
        ("TIFF", "CMYK", "image/png", False),
    ],
)
def test_original_bytes(tmp_path, form, mode, mime, kept):
    path = tmp_path / "image"
    Image.effect_noise((20, 10), 80).convert(mode).save(path, form)
    found, data = original_bytes(path)
    assert (found, data == path.read_bytes()) == (mime, kept)
    with Image.open(path) as original, Image.open(io.BytesIO(data)) as shown:
        assert shown.format == mime.removeprefix("image/").upper()
        assert psnr(original, shown) is None


@pytest.mark.slow
@MODES
@pytest.mark.parametrize("way", ["kit", "original"])
def test_a_run_sends_what_it_says(kit, work, monkeypatch, way, mode):
    forget_keys(monkeypatch)
    with JudgeServer("A") as server:
        arguments = ["--data", PERCEPTION, "--model", "served", "--base-url", server.base_url, "--key", KEY, "--limit"]
        more = [] if way == "kit" else ["--image-bytes", "original", "--image-detail", "high"]
        assert run([*arguments, "20", "--retry", "1", "--work-dir", str(work), *more, *mode]) == 0
    images = list(arrived(server))
    files = sha256s(
        path.read_bytes() for sample in load_dataset(parse_dataset_name(PERCEPTION)).samples for path in sample.images
    )
    use = score_of(work, "served", PERCEPTION)["settings"]["model"]
    shown = use["images"]
    assert (use["name"], use["model_class"]) == ("served", "vlmeval.api.lmdeploy.LMDeployAPI")
    assert (use["n_calls"], shown["n"], shown["seen_in"]) == (20, 20, {"request": 20})
    assert use["generation"]["temperature"] == server.requests[0].body["temperature"]
    assert shown["bytes_sent"] == sum(len(data) for _, data, _ in images)
    if way == "original":
        assert sha256s(data for _, data, _ in images) <= files
        assert (shown["n_same_bytes"], shown["n_lossy"], shown["psnr"], shown["details"]) == (20, 0, None, {"high": 20})
        for head, data, detail in images:
            form = Image.open(io.BytesIO(data)).format.lower()
            assert (head, detail) == (f"data:image/{form};base64", "high")
    else:
        assert not sha256s(data for _, data, _ in images) & files
        assert {Image.open(io.BytesIO(data)).format for _, data, _ in images} == {"JPEG"}
        assert (shown["forms"], shown["n_lossy"], shown["details"]) == ({"JPEG q75": 20}, 20, {})
        assert 10 < shown["psnr"]["low"] <= shown["psnr"]["mean"] <= shown["psnr"]["high"] < 60
    assert KEY not in newest(work, f"served_{PERCEPTION}_model.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("way", "forms", "details"), [("kit", {"JPEG q75": 1}, {"low": 1}), ("original", {"PNG": 1}, {"high": 1})]
)
def test_openai_class(kit, tmp_path, noisy, monkeypatch, way, forms, details):
    monkeypatch.setenv(BYTES_VARIABLE, way)
    monkeypatch.setenv(DETAIL_VARIABLE, "high" if way == "original" else "kit")
    from vlmeval.api import GPT4V

    with JudgeServer("A") as server:
        model = GPT4V("gpt-4o", key=KEY, api_base=f"{server.base_url}/chat/completions", retry=1, max_tokens=7)
        recorder = ModelRecorder("GPT4o", tmp_path / "GPT4o_x.xlsx", resumed=False)
        assert recorder.watch(model).generate(asked(noisy)) == "A"
        assert recorder.watch(model).generate(asked(noisy)) == "A"
    use = recorder.use()
    assert (use.images.forms, use.images.details, use.n_calls) == (forms, details, 2)
    assert (use.generation["max_tokens"], use.settings["key"]) == (7, "***")
    assert use.pixel_limits["img_size"] == -1
    assert KEY not in repr(use)


def test_the_variable_of_a_patched_kit_makes_the_same_choice(kit, monkeypatch):
    monkeypatch.setenv("VLMEVAL_IMAGE_BYTES", "original")
    assert chosen(BYTES_VARIABLE, IMAGE_BYTES) == "original"
    monkeypatch.setenv("VLMEVAL_IMAGE_BYTES", "jpeg")
    with pytest.raises(BadInput, match="VLMEVAL_IMAGE_BYTES is 'jpeg'"):
        chosen(BYTES_VARIABLE, IMAGE_BYTES)
    monkeypatch.setenv(BYTES_VARIABLE, "kit")
    assert chosen(BYTES_VARIABLE, IMAGE_BYTES) == "kit"
    _, options = read_options(["--data", PERCEPTION, "--model", "MedQ-Chance", "--image-bytes", "kit"])
    with in_environment(options):
        assert os.environ["VLMEVAL_IMAGE_BYTES"] == "kit", "the option wins on a kit that would follow its own variable"


@pytest.mark.parametrize("way", ["kit", "original"])
def test_claude_class(kit, tmp_path, monkeypatch, way):
    """Anthropic's API has the type of an image beside its base64, and refuses a wrong one."""
    from vlmeval.api import Claude3V

    path = tmp_path / "small.jpg"
    Image.effect_noise((64, 50), 80).save(path, quality=95)
    monkeypatch.setenv(BYTES_VARIABLE, way)
    with JudgeServer(Sent(body=json.dumps({"content": [{"text": "A"}]}))) as server:
        model = Claude3V(key=KEY, retry=1, backend="official")
        model.url = f"{server.base_url}/chat/completions"
        recorder = ModelRecorder("Claude", tmp_path / "Claude_x.xlsx", resumed=False)
        recorder.watch(model).generate(asked(path))
    source = server.requests[0].messages[0]["content"][0]["source"]
    data = base64.b64decode(source["data"])
    images = recorder.use().images
    assert source["media_type"] == "image/jpeg"
    assert (data == path.read_bytes()) == (way == "original") == (images.n_same_bytes == 1)
    # The kit enlarges what is smaller than 100 pixels: 128 x 100 of 64 x 50.
    assert images.scale == (Spread(1, 4, 4, 4) if way == "kit" else Spread(1, 1, 1, 1))
    assert images.n_enlarged == (way == "kit")


def test_a_class_that_shows_the_first_image_alone(kit, tmp_path, noisy):
    from vlmeval.vlm.base import BaseModel

    class First(BaseModel):
        def generate_inner(self, message, dataset=None):
            _, image = self.message_to_promptimg(message)
            uri = f"data:image/png;base64,{base64.b64encode(Path(image).read_bytes()).decode()}"
            body = {"model": "first", "messages": [{"content": [{"type": "image_url", "image_url": {"url": uri}}]}]}
            return requests.post(f"{server.base_url}/chat/completions", json=body, timeout=30).text

    other = tmp_path / "other.png"
    Image.new("L", (30, 30)).save(other)
    recorder = ModelRecorder("First", tmp_path / "First_x.xlsx", resumed=False)
    with JudgeServer("A") as server:
        recorder.watch(First()).generate(asked(noisy, other))
    images = recorder.use().images
    assert (images.n, images.n_same_bytes, images.n_left_out) == (1, 1, 1)


@pytest.mark.parametrize("client", ["requests", "httpx2"])
def test_clients_of_sdks(tmp_path, noisy, monkeypatch, client):
    library = pytest.importorskip(client)
    monkeypatch.setenv(BYTES_VARIABLE, "original")
    buffer = io.BytesIO()
    Image.open(noisy).save(buffer, "JPEG")

    class Model:
        is_api = True

        def generate(self, message):
            inline = {"mimeType": "image/jpeg", "data": base64.b64encode(buffer.getvalue()).decode()}
            body = {"contents": [{"parts": [{"inlineData": inline}]}], "generationConfig": {"temperature": 0.5}}
            with (requests.Session if client == "requests" else library.Client)() as session:
                return session.post(f"{server.base_url}/chat/completions", json=body, timeout=30).status_code

    model = Model()
    recorder = ModelRecorder("Model", tmp_path / "Model_x.xlsx", resumed=False)
    with JudgeServer(Sent("A", model="served")) as server:
        recorder.watch(model).generate(asked(noisy))
        unwatched(model).generate(asked(noisy))
    first, second = (request.body["contents"][0]["parts"][0]["inlineData"] for request in server.requests)
    assert (first["mimeType"], base64.b64decode(first["data"])) == ("image/png", noisy.read_bytes())
    assert second["mimeType"] == "image/jpeg"
    use = recorder.use()
    assert (use.n_calls, use.images.n_same_bytes, use.generation) == (1, 1, {"generationConfig": {"temperature": 0.5}})


def test_a_run_that_goes_on_counts_both_parts(tmp_path, noisy, monkeypatch):
    """Expected by hand: the part before had 3 images, one of them changed by 30 dB; this one has one, unchanged."""
    predictions = tmp_path / "Model_x.xlsx"
    before = {"image_bytes": "kit", "image_detail": "kit", "n": 3, "seen_in": {"request": 3}, "forms": {"PNG": 3}}
    before |= {"n_lossy": 1, "bytes_sent": 50, "psnr": {"n": 1, "low": 30, "mean": 30, "high": 30}}
    use = {"name": "Model", "model_class": "m.Model", "n_calls": 3, "images": before}
    (tmp_path / "Model_x_model.json").write_text(json.dumps(use), encoding="utf-8")
    monkeypatch.setenv(BYTES_VARIABLE, "original")

    class Model:
        def generate(self, message):
            return "A"

    for resumed, n_calls, n, asked_for in ((True, 4, 4, "mixed"), (False, 1, 1, "original")):
        recorder = ModelRecorder("Model", predictions, resumed)
        recorder.watch(Model()).generate(asked(noisy))
        found = recorder.use()
        assert (found.n_calls, found.images.n, found.images.image_bytes) == (n_calls, n, asked_for)
    joined = ModelRecorder("Model", predictions, resumed=True)
    joined.watch(Model()).generate(asked(noisy))
    joined.write()
    images = read_model_use(predictions)[0].images
    assert images.seen_in == {"request": 3, "path": 1}
    assert images.forms == {"PNG": 4}
    assert (images.n_lossy, images.psnr, images.n_same_bytes) == (1, Spread(1, 30, 30, 30), 1)


def test_an_image_that_comes_again_counts_once(tmp_path, noisy):
    """Expected by hand: of three images one is shared by both pairs; the run that goes on asks all of it again."""
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(noisy.read_bytes())

    class Model:
        def generate(self, message):
            return "A"

    def ask(resumed):
        with written_at_the_end():
            model = ModelRecorder("Model", tmp_path / "Model_x.xlsx", resumed).watch(Model())
            for first, second in ((0, 1), (1, 2)):
                model.generate(asked(files[first], files[second]))
        use, _ = read_model_use(tmp_path / "Model_x.xlsx")
        return use.n_calls, use.images.n, use.images.n_left_out

    assert [ask(False), ask(True), ask(True)] == [(2, 3, 0), (4, 3, 0), (6, 3, 0)]


@pytest.mark.parametrize("answer", ["A", "Failed to obtain answer via API. status 500: down", "", KeyError("x")])
def test_images_count_once_the_model_has_answered(tmp_path, noisy, answer):
    """What failed is asked again by a resumed run, whose record is joined with this one; the name is the true one."""
    record = {"model": "org/Model"}
    (tmp_path / "org--Model_x_inference.json").write_text(json.dumps(record), encoding="utf-8")

    class Model:
        def generate(self, message):
            if isinstance(answer, Exception):
                raise answer
            return answer

    recorder = ModelRecorder("org--Model", tmp_path / "org--Model_x.xlsx", resumed=False)
    with pytest.raises(KeyError) if isinstance(answer, KeyError) else contextlib.nullcontext():
        recorder.watch(Model()).generate(asked(noisy))
    use = recorder.use()
    assert (use.name, use.n_calls, use.images.n) == ("org/Model", 1, int(answer == "A"))


def test_local_processor(kit, tmp_path, noisy):
    """Qwen's smallest number of pixels enlarges images: 120 x 100 to 33 x 27 patches of 14 pixels at the least."""
    from transformers import Qwen2VLImageProcessor
    from vlmeval.vlm.base import BaseModel

    class Local(BaseModel):
        INTERLEAVE = True

        def __init__(self):
            super().__init__()
            self.min_pixels, self.generate_kwargs = 28 * 28 * 200, {"max_new_tokens": 5}
            self.processor = Qwen2VLImageProcessor(min_pixels=self.min_pixels, max_pixels=28 * 28 * 1280)

        def generate_inner(self, message, dataset=None):
            images = [Image.open(part["value"]).convert("RGB") for part in message if part["type"] == "image"]
            height, width = self.processor(images)["image_grid_thw"][0].tolist()[1:]
            return f"{width * 14} x {height * 14}"

    recorder = ModelRecorder("Local", tmp_path / "Local_x.xlsx", resumed=False)
    width, height = map(int, recorder.watch(Local()).generate(asked(noisy)).split(" x "))
    use = recorder.use()
    assert use.images.seen_in == {"processor": 1}
    assert (use.images.forms, use.images.n_enlarged, use.images.psnr) == ({"pixels": 1}, 1, None)
    assert use.images.scale.mean == pytest.approx(width * height / (120 * 100))
    assert use.images.scale.mean > 13
    assert (use.pixel_limits["min_pixels"], use.settings["generate_kwargs"]) == (156800, {"max_new_tokens": 5})
    assert use.pixel_limits["processor"].startswith("Qwen2VLImageProcessor")


def test_scores_read_the_record(tmp_path, noisy):
    predictions = tmp_path / "Model_custom.csv"
    head = "index,question,A,B,answer,prediction"
    predictions.write_text(f"{head}\n1,Which?,Yes,No,A,A\n", encoding="utf-8")
    run_ = evaluate(request_for(predictions, tmp_path / "first"))
    assert run_.result.settings.model_use is None
    use = {"name": "Model", "model_class": "m.Model", "images": {"image_bytes": "original", "image_detail": "kit"}}
    (tmp_path / "Model_custom_model.json").write_text(json.dumps(use), encoding="utf-8")
    run_ = evaluate(request_for(predictions, tmp_path / "second"))
    assert run_.result.settings.model_use.images.image_bytes == "original"
    written = json.loads(run_.paths.score.read_text(encoding="utf-8"))
    assert written["settings"]["model"]["model_class"] == "m.Model"


@pytest.mark.slow
def test_a_reused_prediction_file_keeps_its_record(kit, work):
    """Evaluated in a folder of its own by another judge, where the kit takes the predictions and nothing else along."""
    arguments = ["--data", COMPARATIVE, "--model", "MedQ-Chance", "--work-dir", str(work), "--api-mode"]
    assert run([*arguments, "--mode", "infer"]) == 0
    first = newest(work, f"MedQ-Chance_{COMPARATIVE}_model.json")
    assert run([*arguments, "--mode", "eval", "--judge", "rules"]) == 0
    score = newest(work, f"MedQ-Chance_{COMPARATIVE}_score.json")
    assert score.parent != first.parent
    record = json.loads(first.read_text("utf-8"))
    assert len(record.pop("image_names")) == record["images"]["n"]
    assert score_of(work, "MedQ-Chance", COMPARATIVE)["settings"]["model"] == record
