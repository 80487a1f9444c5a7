"""Every command of the README and the documentation is one that the package takes, and does what the page says.

Commands, also those in sentences and tables, often named in part, are read by the real parser, so that an option or a
command that is not there is found. What stands for a reader's own files and names is in ``PLACEHOLDERS``.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import runpy
from importlib.util import find_spec

import pytest
import setuptools
import typer

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES
from medqbench_vlmeval.cli.main import app
from medqbench_vlmeval.kit.options import read_options
from medqbench_vlmeval.kit_version import find_kit, spells_dataset
from medqbench_vlmeval.report.catalogue import catalogue
from tests.documentation import ROOT, Block, Command, Page, blocks, commands, pages, replaced, shows, split_line

# What readers put their own things in the place of. A value of the parser's own kind is enough here.
PLACEHOLDERS = {
    **dict.fromkeys(("PREDICTIONS", "FILE", "FILE_OR_NAME", "NAME_OR_FILE", "TSV", "FIRST", "SECOND"), "a.tsv"),
    **dict.fromkeys(
        ("DIR", "FOLDER", "PATH", "RUN_DIR", "BOARD", "RUN_A", "RUN_B", "RUN_C", "OLD", "NEW", "IMAGES"), "outputs"
    ),
    **dict.fromkeys(("A", "B", "M", "J", "MODEL", "NAME", "DATASET", "PROJECT", "EXPERIMENT", "USER", "WORDS"), "x"),
    **dict.fromkeys(("CHECKOUT", "CHECKOUTS", "PATH_OF_THE_KIT", "PATH_OF_THE_CHECKOUT", "KIT_DIR"), "kit"),
    "TASK": "perception",
    "N": "5",
}
# What readers call their own models.
OWN_NAMES = {"MyModel"}
ONLY_GIT_HEAD = {"--data-config"}
_PAGES = pages()
_COMMANDS = {page.name: list(commands(page)) for page in _PAGES}
_ALL_COMMANDS = [command for found in _COMMANDS.values() for command in found]


def where(command: Command) -> str:
    return f"{command.place}: {command.text}"


def complaint(command: Command) -> str | None:
    """Why the package would not take a command, or None."""
    words = replaced(command.arguments or (), PLACEHOLDERS)
    if words[:1] == ["run"]:
        return _complaint_of_run(words[1:])
    current, name = _command_tree(), "medqbench"
    try:
        while hasattr(current, "commands") and words and not words[0].startswith("--"):
            context = current.make_context(name, list(words))
            before = getattr(context, "_protected_args", None) or getattr(context, "protected_args", [])
            words = [*before, *context.args]
            name = f"{name} {words.pop(0)}"
            if name.split()[-1] not in current.commands:
                return f"there is no command '{name}'"
            current = current.commands[name.split()[-1]]
        if hasattr(current, "commands"):  # its options act when they are read
            known = {option for parameter in current.params for option in parameter.opts}
            return f"{name} has no {words[0]}" if words and words[0] not in known else None
        current.make_context(name, list(words))
    except Exception as error:  # noqa: BLE001 - typer carries a copy of click or takes the installed one
        kinds = {kind.__name__ for kind in type(error).__mro__}
        in_part = not command.fenced and "MissingParameter" in kinds
        cut = not command.fenced and "requires an argument" in str(error) and words[-1].startswith("--")
        return None if in_part or cut else f"{type(error).__name__}: {error}"
    return None


@functools.cache
def _command_tree():
    return typer.main.get_command(app)


def _complaint_of_run(words: list[str]) -> str | None:
    kit = find_kit()
    rest, _ = read_options(words)
    taken = {"--help", "--help-kit", "-h", *ONLY_GIT_HEAD}
    if kit is not None:
        scripts = [path for path in (kit.package / "run.py", kit.root / "run.py") if path.is_file()]
        taken |= set(re.findall(r"add_argument\(\s*['\"](--[\w-]+)", scripts[0].read_text(encoding="utf-8")))
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in taken]
    return f"neither this package nor the kit has {unknown[0]}" if kit is not None and unknown else None


@pytest.mark.parametrize("page", _COMMANDS)
def test_every_command_of_a_page_is_one_that_the_package_takes(page):
    own = [command for command in _COMMANDS[page] if command.arguments is not None]
    wrong = {where(command): complaint(command) for command in own}
    assert {place: why for place, why in wrong.items() if why} == {}


def test_every_placeholder_is_known():
    unknown = {
        word: where(command)
        for command in _ALL_COMMANDS
        for word in command.words
        if re.fullmatch(r"[A-Z][A-Z_]*", word) and word not in PLACEHOLDERS
    }
    assert unknown == {}, "a name for a reader's own thing that no test knows: put it into PLACEHOLDERS"


def test_scripts_and_benchmarks_are_there_with_their_options():
    for command in _ALL_COMMANDS:
        if command.words[0] == "python" and command.arguments is None:
            script, *words = command.words[2:] if command.words[1] == "-m" else command.words[1:]
            if command.words[1] == "-m":
                assert script == "benchmarks.NAME" or find_spec(script), where(command)
                continue
            text = (ROOT / script).read_text(encoding="utf-8")
            assert [word for word in words if word.startswith("--") and word not in text] == [], where(command)


def test_what_pip_installs_is_in_the_setup(monkeypatch):
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: given.update(keywords))
    runpy.run_path(str(ROOT / "setup.py"))
    for page in _PAGES:
        for name, extras in re.findall(r"pip install[^`\n]*?([\w.-]+)\[([\w,]+)\]", page.text):
            assert name in {".", given["name"]}, page.name
            assert set(extras.split(",")) <= set(given["extras_require"]), page.name


def test_a_command_that_is_not_there_is_found(tmp_path):
    for text, why in {
        "medqbench scores a.tsv": "there is no command 'medqbench scores'",
        "medqbench judge ask": "there is no command 'medqbench judge ask'",
        "medqbench score a.tsv --judges rules --out x": "No such option: --judges",
        "medqbench compare outputs --seed few": "valid integer",
        "medqbench data info": "MissingParameter",
    }.items():
        (command,) = split_line(text, "page.md:1", fenced=True)
        assert why in (complaint(command) or ""), text
    (command,) = split_line("medqbench data info", "page.md:1", fenced=False)
    assert complaint(command) is None


def test_blocks_and_commands_of_a_page():
    lines = [
        "Say `medqbench list models\\|judges [WORDS]` or", "`python run.py", "--help`; `medqbench_vlmeval` is no", "",
        "<!-- printed by: medqbench doctor -->", "```text", "ok", "```", "```bash",
        "A=1 medqbench compare RUN_A [RUN_B ...] [--out DIR]   # said [so]", "medqbench doctor && pytest -m 'not slow'",
        "medqbench score FILE... --judge-args '{", '  "panel": []}\' > out', "```",
    ]  # fmt: skip
    page = Page("page.md", "\n".join(lines))
    assert next(blocks(page)) == Block("page.md:6", "text", "ok", "printed by: medqbench doctor")
    found = [(command.place.rpartition(":")[2], list(command.words), command.fenced) for command in commands(page)]
    assert found == [
        ("1", ["medqbench", "list", "models", "WORDS"], False),
        ("1", ["medqbench", "list", "judges", "WORDS"], False),
        ("2", ["python", "run.py", "--help"], False),
        ("10", ["medqbench", "compare", "RUN_A", "RUN_B", "--out", "DIR"], True),
        ("11", ["medqbench", "doctor"], True),
        ("11", ["pytest", "-m", "not slow"], True),
        ("12", ["medqbench", "score", "FILE", "--judge-args", '{\n  "panel": []}'], True),
    ]


def test_what_a_block_shows_is_looked_for_line_by_line():
    printed = "Title\nName   n\nA      1\nB      2\n\nend of it\n"
    assert shows("Name n\nA 1\n...\nend of it", printed) is None
    assert shows("Name ...\nA 1", printed) is None
    assert shows("Name n\nB 2", printed) == "B 2"
    assert shows("...\nB 3", printed) == "B 3"


def test_every_block_of_what_a_terminal_says_names_its_command():
    silent = [
        block.place
        for page in _PAGES
        for block in blocks(page)
        if block.language == "text" and not re.match(r"printed by: \S|printed by no command", block.note)
    ]
    assert silent == [], (
        "in the line before the block say '<!-- printed by: COMMAND -->', or '<!-- printed by no command -->'"
    )


def claimed(comment: str) -> tuple[bool, object]:
    """Whether a comment begins with a value (``# 'D': why``), and that value."""
    for text in (comment, comment.partition(": ")[0]):
        try:
            return True, ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            continue
    return False, None


def run_block(text: str, names: dict[str, object], place: str) -> None:
    """Execute a block statement by statement; a comment behind one that begins with a value must be its value."""
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        source, _, comment = lines[statement.end_lineno - 1][statement.end_col_offset :].partition("#")
        says, value = claimed(comment) if not source.strip() and isinstance(statement, ast.Expr) else (False, None)
        if says:
            found = eval(compile(ast.Expression(statement.value), place, "eval"), names)  # noqa: S307
            assert found == value, f"{place}: {lines[statement.lineno - 1]} gives {found!r}"
        else:
            exec(compile(ast.Module([statement], []), place, "exec"), names)  # noqa: S102


@pytest.mark.slow
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_python_of_a_page_runs_and_gives_what_its_comments_say(page, tmp_path, monkeypatch):
    own = [block for block in blocks(page) if block.language == "python"]
    if any("to_dataset" in block.text for block in own):
        pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMUData", str(tmp_path))
    names: dict[str, object] = {}
    for block in own:
        run_block(block.text, names, block.place)
    # tests/test_api.py runs these with the prediction files that they speak of.
    with_prompts = [block.place for block in blocks(page) if block.language == "pycon"]
    assert page.name == "docs/api.md" or not with_prompts, "examples with >>> stand on docs/api.md; write python here"


def test_a_wrong_comment_is_found():
    run_block("n = 2  # how many\nn + 1  # 3: one more\nn  # no value", {}, "page")
    with pytest.raises(AssertionError, match="gives 3"):
        run_block("2 + 1  # 4", {}, "page")


@pytest.mark.needs_kit
def test_models_and_datasets_that_commands_name_are_there():
    known = {"models": {str(row.entries[0]) for row in catalogue("models").rows}, "datasets": set(ALL_DATASET_NAMES)}
    arguments = [command.arguments or [] for command in _ALL_COMMANDS]
    registered = {words[3] for words in arguments if words[:2] == ["data", "register"]}
    for command in _ALL_COMMANDS:
        words = command.arguments or []
        for option, kind in {"--model": "models", "--data": "datasets"}.items():
            if words[:1] != ["run"] or option not in words or "--base-url" in words:
                continue
            given = itertools.takewhile(lambda word: not word.startswith("-"), words[words.index(option) + 1 :])
            unknown = [name for name in given if name not in {*known[kind], *OWN_NAMES, *PLACEHOLDERS, *registered}]
            assert [name for name in unknown if not spells_dataset(find_kit(), name)] == [], where(command)
