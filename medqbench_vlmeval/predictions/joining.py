"""Predictions put beside the samples that they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions.reading import PredictionTable
from medqbench_vlmeval.records import Prediction, PredictionStatus, Sample

_NAMED = 5


def join(samples: Sequence[Sample], table: PredictionTable) -> list[Prediction]:
    """One prediction a sample, in the samples' order and under their indexes.

    Indexes meet by their text, else by their number ('7', '07' and '7.0') where that number is one sample's only.
    A sample without a prediction gets one with the status ``MISSING``.

    Raises:
        BadInput: the file has an index that no sample has, or two rows meet the same sample.
    """
    known = {sample.index for sample in samples}
    numbers: Counter[str] = Counter()
    by_number: dict[str, str] = {}
    if not all(prediction.index in known for prediction in table.predictions):
        numbers.update(canonical_index(index) for index in known)
        by_number = {canonical_index(index): index for index in known}
    found: dict[str, Prediction] = {}
    strangers: list[str] = []
    for prediction in table.predictions:
        index = prediction.index
        if index not in known:
            number = canonical_index(index)
            index = by_number[number] if numbers[number] == 1 else ""
        if not index:
            strangers.append(prediction.index)
            continue
        if index in found:
            raise BadInput(
                f"{table.path}: the indexes '{found[index].index}' and '{prediction.index}' both mean sample "
                f"'{index}'; remove one of the rows."
            )
        found[index] = prediction
    if strangers:
        named = ", ".join(f"'{index[:60]}'" for index in strangers[:_NAMED])
        more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
        raise BadInput(
            f"{table.path}: the index {named}{more} is not in the data ({len(samples)} samples); are these predictions "
            "of another dataset?"
        )
    return [_of(sample.index, found.get(sample.index)) for sample in samples]


def _of(index: str, prediction: Prediction | None) -> Prediction:
    if prediction is None:
        return Prediction(index, "", PredictionStatus.MISSING)
    if prediction.index == index:
        return prediction
    return Prediction(index, prediction.text, prediction.status, prediction.cut)
