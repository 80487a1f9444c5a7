"""The documentation as a reader finds it: its pages, their fenced blocks, and commands in fences and sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = {"medqbench": (), "python run.py": ("run",), "python -m medqbench_vlmeval": (), "python -m vlmeval": ("run",)}
"""How this package is started, and what of the command line that stands for."""


_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)[^`]*$")
_NOTE = re.compile(r"^ *<!-- (?P<text>.+?) -->$")
_OURS = re.compile(r"medqbench |python (run\.py|-m medqbench_vlmeval|scripts/|-m benchmarks)\b")
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_OF_A_JOB = re.compile(r"^\s*-?\s*run: (.+)$", re.M)
_ENDS = {"&&", "||", ";", "|"}
_ALTERNATIVES = re.compile(r"[\w-]+(\|[\w-]+)+")


@dataclass(frozen=True)
class Page:
    """A page by its place in the repository."""

    name: str
    text: str


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands between the fences, and the comment (``<!-- ... -->``) in the line before it."""

    place: str
    language: str
    text: str
    note: str = ""

    @property
    def line(self) -> int:
        return int(self.place.rpartition(":")[2])


@dataclass(frozen=True)
class Command:
    """One command of a page: ``words`` as a shell would split them, behind the variables that it sets. ``fenced``
    ones stand in a block for readers to copy; the others are named in a sentence or a table, often in part."""

    place: str
    text: str
    words: tuple[str, ...]
    variables: Mapping[str, str]
    fenced: bool

    @property
    def arguments(self) -> list[str] | None:
        """What ``medqbench`` is given; None for other programs. ``python run.py`` is ``medqbench run``."""
        for head, said in RUNS.items():
            n = len(head.split())
            if self.words[:n] == tuple(head.split()):
                return [*said, *self.words[n:]]
        return None


def pages() -> list[Page]:
    """The README, the other pages beside it but for the list of changes, and all pages of the documentation."""
    beside = [path for path in sorted(ROOT.glob("*.md")) if path.name != "CHANGELOG.md"]
    paths = [*beside, *sorted(ROOT.glob("patches/*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]


def blocks(page: Page) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    open_: re.Match[str] | None = None
    note, start, inside = "", 0, []
    for number, line in enumerate(page.text.splitlines(), 1):
        fence = _FENCE.match(line)
        if open_ and fence and not fence["language"] and fence["ticks"] == open_["ticks"]:
            indent = len(open_["indent"])
            yield Block(f"{page.name}:{start}", open_["language"], "\n".join(text[indent:] for text in inside), note)
            open_ = None
        elif open_:
            inside.append(line)
        elif fence:
            open_, start, inside = fence, number, []
        if not open_ and line.strip():
            said = _NOTE.match(line)
            note = said["text"] if said else ""


def commands(page: Page) -> Iterator[Command]:
    """The commands of a page, in order of their lines: all of its ``bash`` blocks and jobs, and ours in sentences."""
    found: list[tuple[int, Command]] = []
    lines = page.text.splitlines()
    for block in blocks(page):
        for i in range(block.line - 1, block.line + block.text.count("\n") + 2):
            lines[i] = ""
        if block.language in {"bash", "sh", "console"}:
            for offset, text in _logical_lines(block.text):
                for command in split_line(text, f"{page.name}:{block.line + offset}", fenced=True):
                    found.append((block.line + offset, command))
        elif block.language == "yaml":
            for said in _OF_A_JOB.finditer(block.text):
                number = block.line + 1 + block.text[: said.start()].count("\n")
                found += [(number, command) for command in split_line(said[1], f"{page.name}:{number}", fenced=True)]
    text = "\n".join(lines)
    for span in _SPAN.finditer(text):
        number = text[: span.start()].count("\n") + 1
        said = " ".join(span[1].split()).replace("\\|", "|")
        if _OURS.match(said):
            found += [(number, command) for command in split_line(said, f"{page.name}:{number}", fenced=False)]
    yield from (command for _, command in sorted(found, key=lambda pair: pair[0]))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The commands of a block: lines that end within quotes, or in a backslash, go on in the next one."""
    waiting, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start if waiting else number
        waiting += line
        if waiting.endswith("\\"):
            waiting = f"{waiting[:-1]} "
            continue
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:  # an open quote
            waiting += "\n"
            continue
        if words:
            yield start, waiting
        waiting = ""
    assert not waiting, f"a quote that is never closed: {waiting}"


def split_line(text: str, place: str, fenced: bool) -> Iterator[Command]:
    """The commands of a line, without comments and redirections; brackets of optional parts are taken off, and of 'a|b'
    each is one."""
    words: list[str] = []
    for word in [*shlex.split(text, comments=True), ";"]:
        if word not in _ENDS:
            words.append(word)
            continue
        for chosen in product(*map(_alternatives, _without_brackets(words))):
            given, variables = list(chosen), {}
            while given and re.match(r"[A-Z_a-z]+=", given[0]):
                variable, _, value = given.pop(0).partition("=")
                variables[variable] = value
            to = next((i for i, each in enumerate(given) if each in {">", ">>"}), len(given))
            if given:
                yield Command(place, text.strip(), tuple(given[:to]), variables, fenced)
        words = []


def _alternatives(word: str) -> list[str]:
    return word.split("|") if _ALTERNATIVES.fullmatch(word) else [word]


def _without_brackets(words: Iterable[str]) -> Iterator[str]:
    """'[--out DIR] [RUN ...]' as '--out DIR RUN'; '...' says that there may be more of a kind, but for an option's."""
    depth, before = 0, ""
    for word in words:
        opened = len(word) - len(word.lstrip("["))
        depth += opened
        word = word[opened:]
        closed = min(len(word) - len(word.rstrip("]")), depth)
        word, depth = word[: len(word) - closed], depth - closed
        if len(word) > 3 and word[:-3].isupper():
            word = word.removesuffix("...")
        if word and (word != "..." or before.startswith("--")):
            yield word
        before = word


def shows(expected: str, printed: str) -> str | None:
    """What of ``expected`` is not in ``printed``, or None. Lines follow each other as they are printed, but for a line
    '...', which stands for any number of them; '...' at the end of a line stands for the rest of it. How many blanks
    are between words does not count."""
    wanted = [" ".join(line.split()) for line in expected.splitlines() if line.strip()]
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    at, jump = 0, True
    for line in wanted:
        if line == "...":
            jump = True
            continue
        ends = range(at, len(lines)) if jump else range(at, min(at + 1, len(lines)))
        here = next((i for i in ends if _is_line(line, lines[i])), None)
        if here is None:
            return line
        at, jump = here + 1, False
    return None


def _is_line(wanted: str, line: str) -> bool:
    return line.startswith(wanted[:-3].rstrip()) if wanted.endswith("...") else line == wanted


def replaced(words: Sequence[str], things: Mapping[str, str]) -> list[str]:
    """Words with placeholders replaced, also within a word ('outputs/M/M_x.xlsx', '--out=DIR')."""
    names = "|".join(sorted(map(re.escape, things), key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9-])({names})(?![A-Za-z0-9-])")
    return [pattern.sub(lambda found: things[found[1]], word) for word in words]
