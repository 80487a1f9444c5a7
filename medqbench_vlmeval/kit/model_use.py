"""What a model was really shown: images are watched, and replaced where a run asks for it, where they leave the kit,
whose API classes encode them in ways of their own (JPEG, resized, OpenAI's detail 'low'). The bodies of HTTP requests
are read, and in this process what an image processor is given; images are matched by their order to those of the
question that the thread puts. Counts are written beside the predictions. ``--image-bytes original`` puts the files' own
bytes into the requests (PNG and JPEG as they are, else lossless PNG), ``--image-detail`` OpenAI's detail."""

from __future__ import annotations

import base64
import contextlib
import filecmp
import functools
import glob
import inspect
import json
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from medqbench_vlmeval.data.image_forms import DECODER_ERRORS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import write_bytes
from medqbench_vlmeval.judge.secrets import Mask, shown_extra, values_named_secret, with_texts
from medqbench_vlmeval.kit.guards import environment_secrets, replaced
from medqbench_vlmeval.model_use import ImageUse, ModelUse, changed, joined
from medqbench_vlmeval.predictions.files import failure_reason
from medqbench_vlmeval.runs.progress import REPLIES_COMPLETE, ProgressFile, progress_path
from medqbench_vlmeval.runs.provenance import model_use_path, read_model_use, recorded_model, write_model_use

BYTES_VARIABLE, DETAIL_VARIABLE = "MEDQBENCH_IMAGE_BYTES", "MEDQBENCH_IMAGE_DETAIL"
IMAGE_BYTES, IMAGE_DETAILS = ("kit", "original"), ("kit", "low", "high")

_WRITE_EVERY = 10.0  # seconds
_URI = re.compile(r"data:image/[\w.+-]+;base64,")
# JPEG, PNG, GIF and WebP in base64; some APIs take it without a data URI's head.
_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")
_SHORTEST = 80
_MIME_NAMES = ("media_type", "mime_type", "mimeType")
# What of a request is no setting.
_CONTENT = frozenset({"messages", "contents", "content", "input", "prompt", "system", "systemInstruction"})
_LIMIT_NAMES = re.compile(r"pixel|im(?:a)?ge?_size|file_size|detail|resolution|tile|max_num$", re.IGNORECASE)
_KIT_LIMITS = ("VLMEVAL_MAX_IMAGE_SIZE", "VLMEVAL_MIN_IMAGE_EDGE")
_HIDDEN = frozenset({"generate", "fail_msg", "logger"})
_LONGEST, _LONGEST_LIST = 300, 3000  # characters


@dataclass(frozen=True)
class _Question:
    """What is being put to a model in the current thread; ``notes`` count its images, once the model has answered."""

    recorder: ModelRecorder
    files: Sequence[Path]
    notes: list[Callable[[], None]] = field(default_factory=list)


_question: ContextVar[_Question | None] = ContextVar("medqbench_question", default=None)


def psnr(original: Image.Image, shown: Image.Image) -> float | None:
    """The PSNR of an image to its original in dB, as 8-bit RGB in the original's size (Lanczos); None for the same."""
    if shown.size != original.size:
        shown = shown.convert("RGB").resize(original.size, Image.Resampling.LANCZOS)
    counts = ImageChops.difference(original.convert("RGB"), shown.convert("RGB")).histogram()
    squares = sum(count * (place % 256) ** 2 for place, count in enumerate(counts))
    return 10 * math.log10(255**2 * sum(counts) / squares) if squares else None


def original_bytes(path: Path) -> tuple[str, bytes]:
    """What goes out for an image file as it is: MIME type and bytes; what is neither PNG nor JPEG as lossless PNG."""
    data = path.read_bytes()
    for mime, magic in (("image/png", b"\x89PNG\r\n\x1a\n"), ("image/jpeg", b"\xff\xd8\xff")):
        if data.startswith(magic):
            return mime, data
    buffer = BytesIO()
    with Image.open(BytesIO(data)) as image:
        try:
            image.save(buffer, "PNG")
        except OSError:  # a colour space that PNG has not
            image.convert("RGB").save(buffer, "PNG")
    return "image/png", buffer.getvalue()


class ModelRecorder:
    """Gathers what one model gets in one run on one dataset, from many threads, for a record beside ``predictions``. Of
    a run that ``resumed``, earlier replies count too. ``n`` samples are this process's, ``n_done`` have replies."""

    def __init__(self, name: str, predictions: Path, resumed: bool, dataset: str = "", n: int | None = None) -> None:
        self.image_bytes = chosen(BYTES_VARIABLE, IMAGE_BYTES)
        self.image_detail = chosen(DETAIL_VARIABLE, IMAGE_DETAILS)
        self._name, self._path = recorded_model(predictions, name), model_use_path(predictions)
        if resumed:
            adopt_record(predictions)
        # What an earlier run was shown, and then failed or was interrupted, comes again.
        earlier, self._before = read_model_use(predictions) if resumed else (None, frozenset[str]())
        self._images = (earlier and earlier.images) or ImageUse(self.image_bytes, self.image_detail)
        self._calls, self._earlier_calls = 0, earlier.n_calls if earlier else 0
        self._calls_written = 0
        self._model: Any = None
        self._lock = threading.Lock()
        self._seen: dict[Path, set[int]] = {}
        self._left_out: set[Path] = set()
        self._generation: dict[str, Any] = {}
        self._limits: dict[str, Any] = {}
        self._written = time.monotonic()
        self.progress = ProgressFile(progress_path(predictions.parent, predictions.stem), self._name, dataset)
        self.progress.told("loading", total=n)
        self.n, self.n_done, self.n_failed = n, 0, 0

    def watch(self, model: Any) -> Any:
        """Watch what a model is asked from now on, in the place of an earlier recorder; returns the model."""
        generate = unwatched(model).generate
        in_process = not getattr(model, "is_api", False)
        _watch_senders()

        @functools.wraps(generate)
        def watched(message: Any, *args: Any, **kwargs: Any) -> Any:
            parts = message if isinstance(message, list) else []
            files = [Path(part["value"]) for part in parts if isinstance(part, dict) and part.get("type") == "image"]
            if not files:
                return generate(message, *args, **kwargs)
            question, answered = _Question(self, files), False
            token = _question.set(question)
            try:
                answer = generate(message, *args, **kwargs)
                answered = not isinstance(answer, str) or failure_reason(answer) is None
                return answer
            finally:
                _question.reset(token)
                self._asked(question, "path" if in_process else "nowhere", answered)

        model.generate, self._model = watched, model
        self.progress.told("inference", self.n_done, self.n)
        _recorders.append(self)
        return model

    def _asked(self, question: _Question, otherwise: str, answered: bool) -> None:
        # What failed may be asked again, in another run, and its images would count twice.
        files = question.files if answered else ()
        for note in question.notes if answered else ():
            note()
        missing = [path for path in files if path not in self._seen]
        if question.notes:
            self._left_out.update(path for path in missing if path.name not in self._before)
        for path in () if question.notes else missing:
            known = otherwise == "path"
            form = path.suffix.lstrip(".").upper().replace("JPG", "JPEG") if known else "unknown"
            sent = path.stat().st_size if known else 0
            self._note(path, 0, self._one(otherwise, form, known, sent))
        with self._lock:
            self._calls += 1
            self.n_done, self.n_failed = self.n_done + 1, self.n_failed + (not answered)
            self.progress.told("inference", self.n_done, self.n, f"{self.n_failed:,} failed" if self.n_failed else "")
            due = time.monotonic() - self._written > _WRITE_EVERY
        if due:
            self.write()

    def _one(self, seen_in: str, form: str, same: bool = False, sent: int = 0, detail: str | None = None) -> ImageUse:
        counts = {seen_in: 1}, {form: 1}, {} if detail is None else {detail: 1}
        return ImageUse(self.image_bytes, self.image_detail, 1, *counts, int(same), bytes_sent=sent)

    def _note(self, path: Path, key: int, use: ImageUse) -> None:
        """Count an image once for each ``key``, which tells its forms apart."""
        with self._lock:
            if key not in self._seen.setdefault(path, set()):
                self._seen[path].add(key)
                if path.name not in self._before:
                    self._images = joined(self._images, replace(use, bytes_in_files=path.stat().st_size))

    def sent(self, path: Path, data: bytes, detail: str | None) -> None:
        """Note an image in the body of a request."""
        key = hash((data, detail))
        if key in self._seen.get(path, ()):
            return
        same, form, decibels, scale = data == path.read_bytes(), "unreadable", None, 1.0
        with contextlib.suppress(*DECODER_ERRORS), Image.open(BytesIO(data)) as image:
            form = _form(image)
            if not same:
                with Image.open(path) as file:
                    decibels, scale = psnr(file, image), math.prod(image.size) / math.prod(file.size)
        self._note(path, key, changed(self._one("request", form, same, len(data), detail), decibels, scale))

    def processed(self, path: Path, image: Any, size: tuple[int, int] | None) -> None:
        """Note an image that a processor in this process was given, and the size in which it goes on to the model."""
        decibels = None
        with Image.open(path) as original:
            if isinstance(image, Image.Image):
                size = size or image.size
                # What a resized image has lost depends on the way back.
                decibels = psnr(original, image) if image.size == original.size else None
            scale = math.prod(size) / math.prod(original.size) if size else None
        self._note(path, 0, changed(self._one("processor", "pixels"), decibels, scale))

    def settings(self, generation: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
        """Note what a request held beside its messages, or what limits a processor has."""
        with self._lock:
            self._generation.update(generation)
            self._limits.update(limits)

    def write(self) -> None:
        """Write the record if something was asked since the last time; of several processes the first one's."""
        if self._calls > self._calls_written and os.environ.get("RANK", "0") == "0":
            self._written, self._calls_written = time.monotonic(), self._calls
            try:
                with self._lock:
                    known = {path.name for path in (*self._seen, *self._left_out)}
                write_model_use(self._path, self.use(), self._before | known)
            except OSError as error:  # replies are worth more than the record of how they were made
                print(f"medqbench: {self._path} cannot be written ({error.strerror}).", file=sys.stderr)

    def use(self) -> ModelUse:
        """The record so far, without secrets."""
        with self._lock:
            model = self._model
            attributes = _plain({name: value for name, value in vars(model).items() if name not in _HIDDEN})
            limits = {name: value for name, value in attributes.items() if _LIMIT_NAMES.search(name)} | self._limits
            limits |= {name: os.environ[name] for name in _KIT_LIMITS if name in os.environ}
            images = replace(self._images, n_left_out=self._images.n_left_out + len(self._left_out))
            mask = Mask(environment_secrets() | values_named_secret(vars(model)))
            home = str(Path.home())
            settings, generation, limits = (
                with_texts(shown_extra(values), lambda text, _: mask(text).replace(home, "~")[:_LONGEST])
                for values in (attributes, self._generation, limits)
            )
            of_class = f"{type(model).__module__}.{type(model).__qualname__}"
            n_calls = self._calls + self._earlier_calls
            return ModelUse(self._name, of_class, settings, generation, limits, n_calls, images)


_recorders: list[ModelRecorder] = []


@contextlib.contextmanager
def written_at_the_end() -> Iterator[None]:
    """Write what the run's recorders hold, however it ends: of an interrupted one the kit keeps replies too."""
    _recorders.clear()
    try:
        yield
    finally:
        for recorder in _recorders:
            recorder.write()


def adopt_record(predictions: Path) -> None:
    """Take over the record of the earlier run whose prediction file the kit has copied, where none is beside it."""
    record = model_use_path(predictions)
    if not record.exists() and predictions.is_file():
        for twin in sorted(predictions.parent.parent.glob(f"T*/{glob.escape(predictions.name)}"), reverse=True):
            source = model_use_path(twin)
            if source.is_file() and twin != predictions and filecmp.cmp(twin, predictions, shallow=False):
                write_bytes(record, source.read_bytes())
                return


def unwatched(model: Any) -> Any:
    """Stop watching a model, which is a name where the kit had no need to make it; returns it."""
    if not isinstance(model, str) and hasattr(vars(model).get("generate"), "__wrapped__"):
        del model.generate
    return model


def chosen(variable: str, choices: Sequence[str]) -> str:
    """The environment's choice, in the kit's variable where ours is not set, else the first. BadInput for another."""
    names = variable, variable.replace("MEDQBENCH", "VLMEVAL")
    variable = next((name for name in names if os.environ.get(name, "").strip()), variable)
    value = os.environ.get(variable, "").strip() or choices[0]
    if value not in choices:
        raise BadInput(f"The environment variable {variable} is '{value}'; choose one of {', '.join(choices)}.")
    return value


@functools.cache
def _qualities() -> Mapping[tuple[int, ...], int]:
    """JPEG's quality by the table of its luminance."""
    tables: dict[tuple[int, ...], int] = {}
    for quality in range(100, 0, -1):
        buffer = BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
        tables[tuple(Image.open(buffer).quantization[0])] = quality  # type: ignore[attr-defined]
    return tables


def _form(image: Image.Image) -> str:
    form = image.format or "unknown"
    if form not in ("JPEG", "MPO"):
        return form
    quality = _qualities().get(tuple(getattr(image, "quantization", {}).get(0, ())))
    return f"JPEG q{quality}" if quality else "JPEG"


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of these values JSON can hold in a few words, without names that begin with an underscore."""
    plain = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            text = json.dumps(value, allow_nan=False)
            if not name.startswith("_") and (isinstance(value, str) or len(text) <= _LONGEST_LIST):
                plain[name] = json.loads(text)
    return plain


def _places(value: Any, files: Sequence[Path]) -> Iterator[tuple[Any, Any, str, bytes]]:
    """Images in a request's JSON: the object or list that holds one, its key there, the words before it, its bytes."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if not isinstance(inner, str):
            yield from _places(inner, files)
        elif inner.startswith("file://") and (path := Path(inner.removeprefix("file://"))) in files:
            yield value, key, "file://", path.read_bytes()
        elif (head := _URI.match(inner)) or (len(inner) > _SHORTEST and inner.startswith(_STARTS)):
            start = head.end() if head else 0
            try:
                # Google's client writes the alphabet for URLs.
                yield value, key, inner[:start], base64.b64decode(inner[start:], b"-_", validate=True)
            except ValueError:
                continue


def _body(body: Any) -> bytes | None:
    """Note the images in a request's body; what is to be sent in its place, None where that is the body itself."""
    question = _question.get()
    if question is None or not isinstance(body, str | bytes) or body[:1] not in ("{", b"{"):
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    recorder, files = question.recorder, question.files
    places = list(_places(content, files))
    if not places:
        return None
    recorder.settings(_plain({name: value for name, value in content.items() if name not in _CONTENT}), {})
    changed = False
    # More images than the question has are pieces of them, in an order that only the model's class knows.
    for (holder, key, head, data), path in zip(places, files, strict=False) if len(places) <= len(files) else ():
        if recorder.image_bytes == "original" and head != "file://":
            mime, data = original_bytes(path)
            holder[key] = f"data:{mime};base64," * bool(head) + base64.b64encode(data).decode("ascii")
            if isinstance(holder, dict):  # the type that stands there is that of the kit's encoder
                holder.update({name: mime for name in _MIME_NAMES if name in holder})
            changed = True
        takes_detail = isinstance(holder, dict) and key in ("url", "image_url")
        if takes_detail and recorder.image_detail != "kit":
            holder["detail"], changed = recorder.image_detail, True
        detail = holder.get("detail") if takes_detail else None
        question.notes.append(functools.partial(recorder.sent, path, data, detail))
    return json.dumps(content).encode("ascii") if changed else None


def _processed(processor: Any, images: Any, output: Any) -> None:
    """Note what an image processor of transformers was given, and what sizes it made of it."""
    question = _question.get()
    given = list(_flat(images))
    if question is None or len(given) > len(question.files) or not isinstance(output, Mapping):
        return
    sizes: list[tuple[int, int] | None] = [None] * len(given)
    grid, patch = output.get("image_grid_thw"), getattr(processor, "patch_size", None)
    pixels: Any = output.get("pixel_values")
    if grid is not None and isinstance(patch, int) and len(grid) == len(given):
        sizes = [(int(width) * patch, int(height) * patch) for _, height, width in grid]
    elif len(getattr(pixels, "shape", ())) == 4 and len(pixels) == len(given):
        sizes = [(int(pixels.shape[3]), int(pixels.shape[2]))] * len(given)
    for path, image, size in zip(question.files, given, sizes, strict=False):
        question.notes.append(functools.partial(question.recorder.processed, path, image, size))
    limits = _plain({name: getattr(processor, name, None) for name in ("min_pixels", "max_pixels", "do_resize")})
    size_limits = getattr(processor, "size", None)
    limits["size"] = _plain(dict(size_limits)) if isinstance(size_limits, Mapping) else repr(size_limits)
    known = {name: value for name, value in limits.items() if value is not None}
    question.recorder.settings({}, {"processor": type(processor).__name__, **known})


def _flat(images: Any) -> Iterator[Any]:
    if isinstance(images, list | tuple):
        for inner in images:
            yield from _flat(inner)
    elif images is not None:
        yield images


def _wrap(owner: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put a wrapper around a function of somebody else's, once."""
    original = getattr(owner, name)
    if not getattr(original, "of_medqbench", False):
        wrapped = functools.wraps(original)(wrapper(original))
        wrapped.of_medqbench = True  # type: ignore[attr-defined]
        setattr(owner, name, wrapped)


def _watch_senders() -> None:
    """Watch the libraries that send requests or process images; a model's class has loaded those that it uses."""

    def send_prepared(send: Callable[..., Any]) -> Callable[..., Any]:
        def watched(self: Any, request: Any, **kwargs: Any) -> Any:
            if (body := _body(request.body)) is not None:
                request.body = body
                request.headers["Content-Length"] = str(len(body))
            return send(self, request, **kwargs)

        return watched

    def send_httpx(send: Callable[..., Any]) -> Callable[..., Any]:
        def watched(self: Any, request: Any, **kwargs: Any) -> Any:
            if _question.get() is not None and (body := _body(request.read())) is not None:
                headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
                more = {"headers": headers, "content": body, "extensions": request.extensions}
                request = type(request)(request.method, request.url, **more)
            return send(self, request, **kwargs)

        return watched

    def process(call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(self: Any, images: Any = None, *args: Any, **kwargs: Any) -> Any:
            output = call(self, images, *args, **kwargs)
            _processed(self, images, output)
            return output

        return watched

    for module, of_class, method, wrapper in (
        ("requests", "Session", "send", send_prepared),
        ("httpx", "Client", "send", send_httpx),
        ("httpx2", "Client", "send", send_httpx),
        ("transformers.image_processing_utils", "BaseImageProcessor", "__call__", process),
    ):
        if module in sys.modules:
            _wrap(getattr(sys.modules[module], of_class), method, wrapper)


def watch_inference(own: type) -> None:
    """Watch inference on datasets of the class ``own``, in local and in api mode, where it is loaded; idempotent."""
    if (local := sys.modules.get("vlmeval.inference")) is not None:
        _wrap(local, "infer_data", lambda infer_data: _watched_infer_data(infer_data, own, local))
    if (pipeline := sys.modules.get("vlmeval.inference_api")) is not None:
        _wrap(pipeline.APIEvalPipeline, "_produce_image_tasks", lambda produce: _watched_produce(produce, own))
        _wrap(pipeline.APIEvalPipeline, "_save_final_result", _watched_save)


def _watched_infer_data(infer_data: Callable[..., Any], own: type, local: Any) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(infer_data).bind(*args, **kwargs).arguments
        dataset, name, folder, model = (given[key] for key in ("dataset", "model_name", "work_dir", "model"))
        if not isinstance(dataset, own):
            return infer_data(*args, **kwargs)
        import vlmeval.smp
        from vlmeval.config import supported_VLM

        title = getattr(dataset, "dataset_name", "")
        # ms-vlmeval 0.0.18 has no such function, and one format.
        place = getattr(vlmeval.smp, "get_pred_file_path", "{}/{}_{}.xlsx".format)
        predictions = Path(place(str(folder), name, title, use_env_format=True))
        resumed = any(title in path.name for path in Path(folder).glob("*.pkl"))
        rank, n_processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        n = len(range(rank, len(given["dataset"].data), n_processes))
        recorder, read = ModelRecorder(name, predictions, resumed, title, n), local.load

        def load(*args: Any, **kwargs: Any) -> Any:
            found = read(*args, **kwargs)
            if isinstance(found, dict):  # replies of an earlier run
                recorder.n_done = min(n, len(found))
            return found

        build = supported_VLM.get(name)
        if isinstance(model, str):
            # The kit makes the model in there.
            supported_VLM[name] = lambda **options: recorder.watch(build(**options))
        else:
            recorder.watch(model)
        try:
            with replaced(local, "load", load):
                inferred = unwatched(infer_data(*args, **kwargs))
            recorder.progress.told(REPLIES_COMPLETE)
            return inferred
        finally:
            if isinstance(model, str):
                supported_VLM[name] = build
            recorder.write()

    return watched


def _watched_produce(produce: Callable[..., Any], own: type) -> Callable[..., Any]:
    async def watched(self: Any, cfg: Any, existing_results: dict[str, Any]) -> int:
        if isinstance(cfg.dataset_obj, own):
            of_run = cfg.dataset_name, cfg.total_samples
            recorder = ModelRecorder(cfg.model_name, Path(cfg.result_file), bool(existing_results), *of_run)
            recorder.n_done, cfg.medqbench_recorder = len(existing_results), recorder
            # As local mode does where a dataset has ``force_use_dataset_prompt``; no other dataset sees this object.
            recorder.watch(cfg.model_obj).use_custom_prompt = lambda _dataset: False
        produced: int = await produce(self, cfg, existing_results)
        return produced

    return watched


def _watched_save(save: Callable[..., Any]) -> Callable[..., Any]:
    def watched(self: Any, dataset_name: str) -> Any:
        # Before the evaluation, which may run in another process.
        if (recorder := getattr(self.states[dataset_name], "medqbench_recorder", None)) is not None:
            recorder.write()
            recorder.progress.told(REPLIES_COMPLETE)
        return save(self, dataset_name)

    return watched
