"""The five dataset classes that the kit runs. A class holds samples, from which the frame ``data`` that the kit reads,
writes and reloads, prompts, and at evaluation answers, options and references are made: nothing that a prediction
file's format does to a cell can change a score."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from vlmeval.dataset.image_base import ImageBaseDataset

from medqbench_vlmeval import workflows
from medqbench_vlmeval.benchmark import (
    OPTION_LETTERS,
    REASONING_PREFIX,
    Comparable,
    Task,
    all_names,
    dataset_names,
    parse_dataset_name,
)
from medqbench_vlmeval.data import ImageStore, load_dataset, make_second_pass, stratified
from medqbench_vlmeval.data.columns import axes_of, check_named
from medqbench_vlmeval.data.second_pass import PERMUTATION_COLUMN, permutation_of, permutation_text
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.judge.cache import default_folder
from medqbench_vlmeval.kit import check_certificates
from medqbench_vlmeval.kit.judge import kit_client
from medqbench_vlmeval.kit.model_use import adopt_record, watch_inference
from medqbench_vlmeval.kit.options import STYLE_VARIABLE, extractor_in_environment, limit_in_environment
from medqbench_vlmeval.kit.robustness import evaluate_second_pass
from medqbench_vlmeval.kit.run_files import locate_run
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.prompts import build_text, check_style
from medqbench_vlmeval.report.terminal import judge_progress, progress_shown
from medqbench_vlmeval.runs.files import known_result
from medqbench_vlmeval.runs.provenance import recorded_model
from medqbench_vlmeval.types import Prediction, PredictionStatus, Sample

check_certificates()


class _MedQBenchDataset(ImageBaseDataset):  # type: ignore[misc]
    MODALITY = "IMAGE"
    TYPE = "VQA"
    TASK: ClassVar[Task]
    # Read by the kit's local mode; kit.model_use makes the api mode honour it too.
    force_use_dataset_prompt = True

    @classmethod
    def supported_datasets(cls) -> list[str]:
        return [text for text, name in all_names().items() if name.task is cls.TASK]

    # What the kit's final table asks a class, having no object at hand: counts that were kept, not guesses.
    @classmethod
    def get_judge_file(cls, eval_file: str | Path, judge_model: str | None = None) -> Path | None:  # noqa: ARG003
        """The per-sample file of a scored prediction file, or None where it was not scored."""
        samples = workflows.result_paths(Path(eval_file)).samples
        return samples if samples.exists() else None

    @classmethod
    def report_infer_err(cls, prediction_file: str | Path | None) -> dict[str, int]:
        """How many predictions the kit gave up on, of how many."""
        try:
            predictions = read_predictions(Path(prediction_file)).predictions if prediction_file else ()
        except BadInput:
            # The run's own message has said what is wrong with the file; a table of counts cannot.
            predictions = ()
        failed = sum(prediction.status is PredictionStatus.INFERENCE_FAILED for prediction in predictions)
        return {"failed": failed, "total": len(predictions)}

    @classmethod
    def report_judge_err(
        cls,
        prediction_file: str | Path | None,
        *,
        total_samples: int | None,
        judge_model: str | None = None,  # noqa: ARG003
        error_message: str | None = None,
    ) -> dict[str, int | None]:
        """How many samples are unscored, of how many. Without a result of this very prediction file that is all of them
        where the evaluation failed, else not known (None, which the kit shows as '-')."""
        path = Path(prediction_file) if prediction_file else None
        result = known_result(workflows.result_paths(path).score) if path and path.exists() else None
        if path is None or result is None or result.settings.prediction_file.sha256 != sha256_of(path):
            return {"failed": total_samples if error_message else None, "total": total_samples}
        return {
            "failed": sum(part.counts.get("n_unscored", 0) for part in result.parts.values()),
            "total": sum(part.n for part in result.parts.values()),
        }

    @classmethod
    def report_primary_metric(cls, metrics: Mapping[str, Any] | None) -> dict[str, float]:
        """``Overall``; a combined run has one a part, under the kit's flattened key."""
        keys = ("Overall", *(f"{name}|Overall" for name in REASONING_PREFIX.values()))
        return {key: float(metrics[key]) for key in keys if metrics and isinstance(metrics.get(key), int | float)}

    def __init__(
        self,
        dataset: str | None = None,
        data_path: str | None = None,
        prompt_style: str | None = None,
        columns: Mapping[str, str] | None = None,
        window: str | None = None,
        **_kit_options: Any,
    ) -> None:
        """Load a dataset, of MEDQBENCH_LIMIT samples where the environment says so. ``dataset`` is a name of the
        class's task, or of its second pass; the test split by default. ``data_path`` is a local data file in place of
        the published one, for the combined reasoning task the folder of its two. ``columns`` are the file's by their
        meanings, ``{"severity": "grade"}``; ``window`` is 'LOW,HIGH', for deep grey where nothing states one. Defaults
        are MEDQBENCH_PROMPT_STYLE, _COLUMNS and _WINDOW. Raises BadInput where one of them cannot be used."""
        watch_inference(_MedQBenchDataset)
        # The kit's own constructor evaluates cells as Python; nothing of it is needed.
        self.dataset_name = dataset or next(iter(dataset_names(self.TASK)))
        name = parse_dataset_name(self.dataset_name)
        if name.task is not self.TASK:
            raise BadInput(f"{type(self).__name__} cannot load '{name.text}', which is a {name.task.value} dataset.")
        self.prompt_style = check_style(prompt_style or os.environ.get(STYLE_VARIABLE) or "official")
        named = None if columns is None else check_named(columns.items(), f"the columns of {name.text}")
        with progress_shown():
            path, store = Path(data_path).expanduser() if data_path else None, ImageStore.default(window=window)
            self.first_set = load_dataset(name.first_pass, path, store, named)
        self.window = store.window
        self.is_second_pass = name.second_pass
        self.sample_set = make_second_pass(self.first_set) if name.second_pass else self.first_set
        self._samples = {sample.index: sample for sample in self.sample_set.samples}
        for sample in (of for of in self.sample_set.samples if OPTION_LETTERS[-1] in of.options):
            build_text(sample, self.prompt_style)  # not every style shows it; that is told before a model is asked
        self.data = self._frame()

    def _frame(self) -> pd.DataFrame:
        samples = self.sample_set.samples
        indexes = [sample.index for sample in samples]
        # The kit matches a reloaded spreadsheet's index cells by value, and those come back as numbers.
        numbers = all(index.isascii() and index.isdigit() and str(int(index)) == index for index in indexes)
        columns: dict[str, list[Any]] = {"index": [int(index) if numbers else index for index in indexes]}
        columns["task"] = [sample.task.value for sample in samples]
        columns["question"] = [sample.question for sample in samples]
        if self.TASK.is_choice:
            for letter in OPTION_LETTERS:
                columns[letter] = [sample.options.get(letter) for sample in samples]
            columns["answer"] = [sample.answer for sample in samples]
        elif not self.is_second_pass:
            columns["description"] = [sample.description for sample in samples]
        for axis in (*axes_of(self.TASK), "pair"):
            values = [getattr(sample, axis) for sample in samples]
            if any(values):
                columns["degradation_category" if axis == "category" else axis] = values
        columns["image_path"] = [
            str(sample.images[0]) if len(sample.images) == 1 else [str(path) for path in sample.images]
            for sample in samples
        ]
        # A prediction file that is scored later, alone, still says what it was made from.
        columns["data_sha256"] = [self.sample_set.sources[sample.task].sha256 for sample in samples]
        columns["data_revision"] = [self.sample_set.sources[sample.task].revision for sample in samples]
        columns["prompt_style"] = [self.prompt_style] * len(samples)
        if self.is_second_pass:
            first = {sample.index: sample for sample in self.first_set.samples}
            columns[PERMUTATION_COLUMN] = [permutation_text(permutation_of(first[index]) or {}) for index in indexes]
        frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
        if (limit := limit_in_environment()) is None:
            return frame
        # Of a second pass the same samples as of the first.
        chosen = stratified(self.first_set.samples, limit)
        return frame[[sample.index in chosen for sample in self.sample_set.samples]].reset_index(drop=True)

    def _sample(self, line: int | Mapping[str, Any]) -> Sample:
        index = str(self.data["index"].iloc[line] if isinstance(line, int) else line["index"])
        if index not in self._samples:
            raise BadInput(f"{self.dataset_name} has no sample with index '{index}'.")
        return self._samples[index]

    def dump_image(self, line: int | Mapping[str, Any]) -> list[str]:
        """The paths of a row's images; they were written and checked when the data was loaded."""
        return [str(path) for path in self._sample(line).images]

    def build_prompt(self, line: int | Mapping[str, Any]) -> list[dict[str, str]]:
        """The images in their order, then the text of the chosen prompt style."""
        sample = self._sample(line)
        text = build_text(sample, self.prompt_style)
        if not any(character.isspace() for character in text.strip()):
            # The kit opens or downloads a text part that is a path or a URL; a trailing newline makes it neither.
            text += "\n"
        return [*({"type": "image", "value": str(path)} for path in sample.images), {"type": "text", "value": text}]

    def evaluate(self, eval_file: str, **judge_kwargs: Any) -> dict[str, Any]:
        """Score a prediction file, leave the result files beside it and return the headline numbers. The extractor of
        MEDQBENCH_EXTRACTOR is asked as the judge keywords say. MedQBenchError where the file cannot be scored."""
        adopt_record(Path(eval_file))
        in_file, work_dir = locate_run(Path(eval_file), self.dataset_name)
        model = recorded_model(Path(eval_file), in_file)
        # The frame may have been cut: by our limit, or to its first rows by the PyPI kit's own.
        indexes = None if self.data is None else {str(index) for index in self.data["index"]}
        only = indexes if indexes is not None and len(indexes) < len(self._samples) else None
        if self.is_second_pass:
            return evaluate_second_pass(Path(eval_file), self.dataset_name, self.first_set, only)
        extractor = extractor_in_environment() if self.TASK.is_choice else None
        with judge_progress() as on_progress:
            evaluated = workflows.evaluate(
                workflows.Request(
                    prediction_file=Path(eval_file),
                    model=model,
                    dataset=self.dataset_name,
                    sample_set=self.sample_set,
                    only=only,
                    judge=judge_kwargs,
                    out=Path(eval_file).parent,
                    leaderboard=work_dir / "leaderboard",
                    cache=default_folder(),
                    kit_client=kit_client,
                    on_progress=on_progress,
                    extractor=extractor,
                    kit_reader=kit_letters,
                )
            )
        headline: dict[str, Any] = json.loads(json.dumps(workflows.headline_to_json(evaluated.result)))
        # The kit keeps numbers alone in its status file; the mark has to be one to get there.
        return {**headline, "comparable_with_published": int(evaluated.result.comparable is Comparable.YES)}


def kit_letters(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> dict[str, list[str | None]]:
    """What the kit reads in multiple-choice replies: by ``can_infer``, and by its own class for the benchmark. The two
    sequences are parallel; a reply in which a reader finds no letter of the sample's has None."""
    from vlmeval.utils.matching_util import can_infer

    if samples[0].task is Task.DEGRADATION:
        from vlmeval.dataset.medq_deg_bench import MedQDEGBenchDataset as Own
    else:
        from vlmeval.dataset.medqbench_mcq import MedqbenchMCQDataset as Own

    def letters(reader: Callable[[str, dict[str, str]], object]) -> list[str | None]:
        pairs = zip(samples, predictions, strict=True)
        found = [(sample.options, reader(prediction.text, dict(sample.options))) for sample, prediction in pairs]
        return [letter if isinstance(letter, str) and letter in options else None for options, letter in found]

    by_own = letters(lambda text, _: Own._extract_option_letter(None, text))
    return {"can_infer": letters(can_infer), Own.__name__: by_own}


class MedQBenchPerception(_MedQBenchDataset):
    """MedQ-Perception: one image and a multiple-choice question; scored by accuracy."""

    TYPE = "MCQ"
    TASK = Task.PERCEPTION


class MedQDeg(_MedQBenchDataset):
    """MedQ-Deg: one image in one of three degrees of degradation and a multiple-choice question; scored by accuracy."""

    TYPE = "MCQ"
    TASK = Task.DEGRADATION


class MedQBenchNoReference(_MedQBenchDataset):
    """MedQ-Reasoning, no-reference: one image, a description that ends with a quality level; judged."""

    TASK = Task.NO_REFERENCE


class MedQBenchComparative(_MedQBenchDataset):
    """MedQ-Reasoning, comparative: two images, a comparison that ends with the better one; judged."""

    TASK = Task.COMPARATIVE


class MedQBenchReasoning(_MedQBenchDataset):
    """Both reasoning tasks in one run; indexes carry the part's name (``benchmark.REASONING_PREFIX``)."""

    TASK = Task.REASONING


DATASET_CLASSES = (MedQBenchPerception, MedQBenchNoReference, MedQBenchComparative, MedQBenchReasoning, MedQDeg)
