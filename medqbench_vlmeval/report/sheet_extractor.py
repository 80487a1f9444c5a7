"""The block of the first sheet with strict and lenient accuracy side by side."""

from __future__ import annotations

from medqbench_vlmeval.report.cells import BOLD, COUNT, PERCENT, TEXT, Item, Sheet, Style
from medqbench_vlmeval.report.runs import MEASURES, OVERALL, RunPart, ends_of, is_few, mapping, number, text, whole
from medqbench_vlmeval.tasks import Task

_COUNTS = {
    "n_open": "Replies that the rules left open",
    "n_asked": "Put to the extractor",
    "n_read": "Letter found",
    "n_none": "No answer, says the extractor",
    "n_failed": "No valid reply of the extractor",
}


def add_extractor_block(sheet: Sheet, part: RunPart) -> None:
    """Write the block; nothing for a run without an extractor."""
    found = mapping(part.score.get("extractor"))
    if not found:
        return
    sides = [mapping(found.get(name)) for name in ("strict", "lenient")]
    level = number(mapping(sides[0].get("intervals")).get("level")) or 0.95
    ends = [f"{level:.0%} low", f"{level:.0%} high"]
    sheet.append()
    sheet.header(["Second stage", "Strict, %", *ends, "Lenient, %", *ends, "n"])
    for measure in (OVERALL, *MEASURES[Task.PERCEPTION][:-1]):
        bold = measure == OVERALL
        cell = sides[0] if bold else mapping(mapping(sides[0].get("counts")).get(measure))
        few = is_few(part.task, cell)
        style = Style(PERCENT, bold=bold, faint=few)
        items = [Item(measure, BOLD if bold else TEXT)]
        for side in sides:
            interval = ends_of(mapping(side.get("intervals")).get(measure)) or (None, None)
            items += [Item(value, style) for value in (number(side.get(measure)), *interval)]
        sheet.append([*items, Item(whole(cell.get("n")), Style(COUNT, bold=bold, faint=few))])
    sheet.append([Item("Strict: the rules alone, and the official numbers. Lenient: an extractor's letters too.")])
    sheet.append([Item("Extractor", BOLD), Item(text(found.get("name")))])
    for name, title in _COUNTS.items():
        sheet.append([Item(title), Item(whole(found.get(name)), Style(COUNT))])
