"""The published tables' models in the real kit: which class, where it is asked and with what, on servers that speak the
vendors' documented forms. The vendors themselves are not asked."""

import base64
import hashlib
import json
import types

import pytest
from PIL import Image

from medqbench_vlmeval.benchmark import HUMAN, Task, parse_dataset_name, published_rows
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.kit.model_use import BYTES_VARIABLE, ModelRecorder
from medqbench_vlmeval.kit.options import read_options
from medqbench_vlmeval.kit.registration import AliasOf
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.kit_version import require_kit, zoo_models
from medqbench_vlmeval.models import ENDPOINTS, PUBLISHED_MODELS, SERVICES, gpu_memory
from tests.kit.runs import BOTH, COMPARATIVE, MODES, NO_REFERENCE, PERCEPTION, forget_keys, score_of
from tests.servers import LocalServer, Request, Sent, completion

KEY = "sk-canary-0123456789-abc"
VARIABLES = {
    name for at in ENDPOINTS.values() for name in (*at.keys, *at.gateways, at.address, at.backend, "BOYUE")
} - {""}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    forget_keys(monkeypatch)
    for name in (*VARIABLES, BYTES_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def zoo(kit, monkeypatch):
    """The kit's zoo; its calls do not sleep."""
    import vlmeval.api.base
    from vlmeval.config import supported_VLM

    monkeypatch.setattr(vlmeval.api.base, "time", types.SimpleNamespace(sleep=lambda _: None))
    return supported_VLM


class Vendors(LocalServer):
    """Answers in the form of the API whose path is asked: Anthropic's messages, Google's generateContent, and OpenAI's
    chat completions as Google, xAI and Mistral serve them."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def answer(self, method, path, headers, data):
        request = Request(path, headers, json.loads(data))
        self.requests.append(request)
        if path.endswith("/messages"):
            body = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "B"}]}
        elif path.endswith(":generateContent"):
            body = {"candidates": [{"content": {"role": "model", "parts": [{"text": "B"}]}, "finishReason": "STOP"}]}
        elif path.endswith("/chat/completions"):
            body = completion("B", request.body["model"])
        else:
            return Sent(status=404)
        return Sent(body=json.dumps(body))


@pytest.fixture
def server():
    with Vendors() as server:
        yield server


@pytest.fixture
def pair(tmp_path):
    """Two images that no lossy encoder keeps, and a question of text, image, text, image, text."""
    paths = [tmp_path / f"{name}.png" for name in ("first", "second")]
    for path in paths:
        Image.effect_noise((120, 110), 60).save(path)
    first, second = ({"type": "image", "value": str(path)} for path in paths)
    texts = [{"type": "text", "value": text} for text in ("First image:", "Second image:", "Which is better?")]
    return paths, [texts[0], first, texts[1], second, texts[2]]


def put(model, question, tmp_path, name):
    """Ask as a run does, and return what stands on record of it."""
    recorder = ModelRecorder(name, tmp_path / f"{name}_x.xlsx", resumed=False)
    assert recorder.watch(model).generate([dict(part) for part in question]) == "B"
    return recorder.use()


def test_every_published_name_is_in_the_table_and_in_the_zoo(zoo):
    tasks = (Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE)
    published = {row.model for task in tasks for row in published_rows(task) if row.category != HUMAN}
    assert published <= set(PUBLISHED_MODELS) <= set(zoo)
    for name, model in PUBLISHED_MODELS.items():
        # As the kit's runner expects it, which sets --retry and --verbose there.
        assert isinstance(zoo[name].keywords, dict)
        assert getattr(zoo[name].func, "INTERLEAVE", False), f"{name} would show the first of two images alone"
        if model.made_by:
            assert zoo[name].func.__name__ == model.made_by


@pytest.mark.parametrize("name", [name for name, model in PUBLISHED_MODELS.items() if model.zoo])
def test_settings_of_the_zoos_own_entries_stay(zoo, name):
    model = PUBLISHED_MODELS[name]
    entry = zoo[next(one for one in model.zoo if one in zoo)]
    assert not isinstance(entry, AliasOf)
    assert zoo[name].func is entry.func
    assert zoo[name].keywords == {**entry.keywords, **model.settings}
    if not model.settings:
        assert all(entry.keywords.get(setting, "high") == "high" for setting in ("img_detail",))


GOOGLES, OPENAIS = "/v1beta/openai/chat/completions", "/v1/chat/completions"
GEMINI, MISTRAL = "gemini-2.5-pro", "mistral-medium-2505"
OPENAI_FORM = [
    ("Gemini-2.5-Pro", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "", GOOGLES, GEMINI),
    ("Gemini-2.5-Pro", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "/", GOOGLES, GEMINI),
    ("Gemini-2.5-Pro", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "/v1beta/", GOOGLES, GEMINI),
    ("Grok-4", "XAI_API_KEY", "XAI_API_BASE", "/v1", OPENAIS, "grok-4-0709"),
    ("Mistral-Medium-3", "MISTRAL_API_KEY", "MISTRAL_API_BASE", "/v1", OPENAIS, MISTRAL),
    ("Mistral-Medium-3", "MISTRAL_API_KEY", "MISTRAL_API_BASE", OPENAIS, OPENAIS, MISTRAL),
]


@pytest.mark.parametrize(("name", "key", "address", "end", "path", "served_as"), OPENAI_FORM)
def test_openai_form(zoo, server, pair, tmp_path, monkeypatch, name, key, address, end, path, served_as):
    paths, question = pair
    monkeypatch.setenv(key, KEY)
    monkeypatch.setenv(address, server.base_url.removesuffix("/v1") + end)
    # Of the judge, say: it is not asked for another vendor's model.
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1/chat/completions")
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    monkeypatch.setenv(BYTES_VARIABLE, "original")
    use = put(zoo[name](), question, tmp_path, name)
    (request,) = server.requests
    assert (request.path, request.headers["authorization"]) == (path, f"Bearer {KEY}")
    assert request.body["model"] == served_as
    parts = request.messages[-1]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url", "text"]
    images = [part["image_url"] for part in parts if part["type"] == "image_url"]
    assert [base64.b64decode(image["url"].partition(",")[2]) for image in images] == [one.read_bytes() for one in paths]
    assert [(image["detail"], image["url"][:22]) for image in images] == [("high", "data:image/png;base64,")] * 2
    assert (use.model_class, use.settings["model"]) == ("vlmeval.api.gpt.GPT4V", served_as)
    assert (use.settings["key"], use.settings["img_detail"], use.images.n_same_bytes) == ("***", "high", 2)
    assert KEY not in repr(use)
    if name.startswith("Gemini"):
        assert request.body["reasoning_effort"] == "high"
    else:
        assert request.body["temperature"] == 0


@pytest.mark.parametrize("way", ["kit", "original"])
def test_anthropics_messages(zoo, server, pair, tmp_path, monkeypatch, way):
    paths, question = pair
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url.removesuffix("/v1"))
    monkeypatch.setenv(BYTES_VARIABLE, way)
    use = put(zoo["Claude-4-Sonnet"](), question, tmp_path, "Claude-4-Sonnet")
    (request,) = server.requests
    assert request.path == "/v1/messages"
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    assert {name: request.headers[name] for name in headers} == headers
    assert (request.body["model"], request.body["max_tokens"]) == ("claude-sonnet-4-20250514", 2048)
    assert "temperature" not in request.body
    parts = request.messages[0]["content"]
    assert [part["type"] for part in parts] == ["text", "image", "text", "image", "text"]
    sources = [part["source"] for part in parts if part["type"] == "image"]
    assert {(source["type"], source["media_type"]) for source in sources} == {("base64", "image/png")}
    sent = [base64.b64decode(source["data"]) for source in sources]
    if way == "original":
        assert sent == [path.read_bytes() for path in paths]
    # The kit's class encodes PNG files anew as PNG: other bytes, the same pixels.
    assert (use.images.n, use.images.n_lossy) == (2, 0)
    assert (use.settings["backend"], use.generation["max_tokens"]) == ("official", 2048)
    assert KEY not in repr(use)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["kit", "original"])
def test_googles_generate_content(zoo, server, pair, tmp_path, monkeypatch, way):
    """The zoo's smaller Gemini models are asked by Google's own client."""
    pytest.importorskip("google.genai")
    paths, question = pair
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.base_url.removesuffix("/v1"))
    monkeypatch.setenv(BYTES_VARIABLE, way)
    use = put(zoo["GeminiFlash2-5"](), question, tmp_path, "GeminiFlash2-5")
    (request,) = server.requests
    # The version is the client's: v1beta, or v1 in newer ones.
    assert request.path.startswith("/v1")
    assert request.path.endswith("/models/gemini-2.5-flash:generateContent")
    assert request.headers["x-goog-api-key"] == KEY
    parts = [part for content in request.body["contents"] for part in content["parts"]]
    assert ["text" in part for part in parts] == [True, False, True, False, True]
    inline = [part["inlineData"] for part in parts if "inlineData" in part]
    # JSON of protocol buffers has fields in either spelling, and base64 in either alphabet.
    assert {image.get("mimeType", image.get("mime_type")) for image in inline} == {"image/png"}
    if way == "original":
        assert [base64.b64decode(image["data"]) for image in inline] == [path.read_bytes() for path in paths]
    assert (use.images.n, use.images.n_lossy, KEY in repr(use)) == (2, 0, False)


OWN_ENDPOINTS = [
    ("Gemini-2.5-Pro", "GOOGLE_API_KEY", "api_base", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
    ("Claude-4-Sonnet", "ANTHROPIC_API_KEY", "url", "https://api.anthropic.com/v1/messages"),
    ("Grok-4", "XAI_API_KEY", "api_base", "https://api.x.ai/v1/chat/completions"),
    ("Mistral-Medium-3", "MISTRAL_API_KEY", "api_base", "https://api.mistral.ai/v1/chat/completions"),
    ("GPT-5", "OPENAI_API_KEY", "api_base", "https://api.openai.com/v1/chat/completions"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "key", "argument", "url"), OWN_ENDPOINTS)
def test_the_vendors_own_endpoint_and_a_missing_key(zoo, work, handed_over, monkeypatch, name, key, argument, url):
    with pytest.raises(RunFailed) as error:
        run(["--data", PERCEPTION, "--model", name, "--work-dir", str(work)])
    vendor = ENDPOINTS[PUBLISHED_MODELS[name].vendor].name
    assert str(error.value) == f"{name} needs a key of {vendor}'s: set the environment variable {key}."
    assert not handed_over
    monkeypatch.setenv(key, KEY)
    model = zoo[name]()
    assert (getattr(model, argument), model.key) == (url, KEY)


def test_the_users_own_ways_win(zoo, monkeypatch):
    """A gateway without the vendor's key, a backend, and what a configuration gives."""
    monkeypatch.setenv("OPENAI_API_BASE", "http://gateway/v1/chat/completions")
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-gateway")
    gemini = zoo["Gemini-2.5-Pro"]()
    assert (gemini.api_base, gemini.key) == ("http://gateway/v1/chat/completions", "of-the-gateway")
    assert zoo["GPT-4o"]().api_base == gemini.api_base
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    given = zoo["Gemini-2.5-Pro"](api_base="http://mine/v1", key="mine", img_detail="low")
    assert (given.api_base, given.key, given.img_detail) == ("http://mine/v1", "mine", "low")
    monkeypatch.setenv("BOYUE", "1")
    monkeypatch.setenv("BOYUE_API_BASE", "http://boyue/v1")
    monkeypatch.setenv("BOYUE_API_KEY", "of-boyue")
    boyue = zoo["Gemini-2.5-Pro"]()
    assert (boyue.api_base, boyue.key) == ("http://boyue/v1", "of-boyue")
    monkeypatch.delenv("BOYUE")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BACKEND", "alles")
    monkeypatch.setenv("ALLES", "of-alles")
    claude = zoo["Claude-4-Sonnet"]()
    assert (claude.backend, claude.key, claude.model) == ("alles", "of-alles", "claude-4-sonnet-20250514")
    monkeypatch.setenv("ANTHROPIC_BACKEND", "official")
    assert (zoo["Claude-4-Sonnet"]().key, zoo["Claude-4-Sonnet"]().model) == (KEY, "claude-sonnet-4-20250514")


@pytest.mark.slow
def test_a_base_url_wins_over_a_published_name(zoo, server, work, handed_over, monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    words = ["--data", PERCEPTION, "--model", "Mistral-Medium-3", "--base-url", server.base_url, "--key", "mine-123456"]
    run([*words, "--work-dir", str(work)])
    (request,) = server.requests
    assert (request.body["model"], request.headers["authorization"]) == ("Mistral-Medium-3", "Bearer mine-123456")


def test_keys_are_in_no_entry_of_the_zoo(zoo, monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, KEY)
    assert not [name for name in PUBLISHED_MODELS if KEY in repr(zoo[name])]


@pytest.mark.slow
@pytest.mark.parametrize("data", [COMPARATIVE, BOTH, f"{COMPARATIVE}_robustness"])
def test_a_model_of_one_image_is_not_shown_half_a_pair(zoo, work, handed_over, data):
    one = ["--model", "paligemma-3b-mix-448", "--work-dir", str(work), "--no-test-call", "--data"]
    with pytest.raises(BadInput) as error:
        run([*one, data])
    assert str(error.value).startswith("paligemma-3b-mix-448 would be shown only the first image of a pair: its class")
    run([*one, NO_REFERENCE])
    run([*one[:-1], "--mode", "eval", "--data", data])
    run(["--model", "InternVL3-8B", *one[2:], data])
    assert len(handed_over) == 3


def test_classes_and_variables_stand_in_the_kits_source(zoo):
    """Each class of the table that this kit has reads the variables that the table says, and every class of its zoo
    that asks a service is in the table."""
    api = require_kit().package / "api"
    files = {path.name: path.read_text(encoding="utf-8") for path in api.glob("*.py")}
    here = set()
    for name, needs in SERVICES.items():
        source = next((text for text in files.values() if f"class {name}(" in text), None)
        if source is None:
            continue
        here.add(name)
        variables = [needs.key, needs.backend.partition("=")[0], *needs.by_model.values()]
        missing = [one for one in variables if one and f"'{one}'" not in source and f'"{one}"' not in source]
        assert not missing, f"{name} does not read {missing}"
        for words, key in needs.by_model.items():
            assert needs.key_of(words) == key
            assert all(f"'{word}' in model" in source for word in words.split())
    assert len(here) > 30
    from vlmeval.api.base import BaseAPI

    served = {entry.func.__name__ for entry in zoo.values() if issubclass(entry.func, BaseAPI)}
    assert served <= set(SERVICES)
    assert {model.kit_class for model in zoo_models(require_kit())[0].values()} & here == served


def test_the_source_of_the_zoo_is_read_as_it_is_imported(zoo):
    read, whole = zoo_models(require_kit())
    assert whole
    for name, model in read.items():
        entry = zoo[name]
        if name not in PUBLISHED_MODELS:
            assert (entry.func.__name__, entry.keywords.get("model", "")) == (model.kit_class, model.served_as)
            assert model.weights in (None, *entry.keywords.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen2.5-VL-7B-Instruct", 7e9 * 2 * 1.2 / 2**30),
        ("Qwen2.5-VL-72B-Instruct-AWQ", 72e9 * 0.5 * 1.2 / 2**30),
        ("InternVL2-8B-Int8", 8e9 * 1.2 / 2**30),
        ("Qwen2-VL-7B-Instruct-GPTQ-Int8", 7e9 * 1.2 / 2**30),
        ("Qwen3-VL-30B-A3B-Instruct", 30e9 * 2 * 1.2 / 2**30),
        ("PandaGPT_13B", 13e9 * 2 * 1.2 / 2**30),
        ("Phi-3.5-Vision", None),
        ("InternVL-Chat-V1-1", None),
    ],
)
def test_gpu_memory(name, expected):
    assert gpu_memory(name) == (None if expected is None else pytest.approx(expected))


def test_replies_under_other_settings_of_an_alias_are_not_taken_up():
    """The record beside the predictions has the settings that an alias puts in the place of the zoo's."""
    _, options = read_options(["--data", PERCEPTION, "--model", "Grok-4", "grok-4-0709"])
    assert (options.reply_settings("Grok-4"), options.reply_settings("grok-4-0709")) == ({"img_detail": "high"}, {})
    _, options = read_options(["--data", PERCEPTION, "--model", "Grok-4", "--base-url", "http://127.0.0.1:1/v1"])
    assert options.reply_settings("Grok-4") == {"--base-url": "given"}


@pytest.mark.slow
@MODES
def test_a_whole_run_under_a_published_name(zoo, server, work, monkeypatch, mode):
    """Pairs to Anthropic's form with the files' own bytes: what results say of the model and its images."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url.removesuffix("/v1"))
    words = ["--data", COMPARATIVE, "--model", "Claude-4-Sonnet", "--judge", "rules", "--limit", "4"]
    assert run([*words, "--image-bytes", "original", "--work-dir", str(work), *mode]) == 0
    # The test call has no image.
    asked = [request for request in server.requests if '"image/' in json.dumps(request.body)]
    pairs = load_dataset(parse_dataset_name(COMPARATIVE)).samples
    known = {tuple(hashlib.sha256(image.read_bytes()).hexdigest() for image in sample.images) for sample in pairs}
    for request in asked:
        parts = [part["source"] for part in request.messages[0]["content"] if part["type"] == "image"]
        assert tuple(hashlib.sha256(base64.b64decode(part["data"])).hexdigest() for part in parts) in known
    assert len(asked) == 4
    use = score_of(work, "Claude-4-Sonnet", COMPARATIVE)["settings"]["model"]
    assert (use["name"], use["model_class"]) == ("Claude-4-Sonnet", "vlmeval.api.claude.Claude3V")
    assert use["settings"]["url"] == f"{server.base_url}/messages"
    assert (use["settings"]["backend"], use["settings"]["model"]) == ("official", "claude-sonnet-4-20250514")
    images = use["images"]
    assert (images["n"], images["n_same_bytes"], images["n_left_out"]) == (8, 8, 0)
    assert not [path for path in work.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
