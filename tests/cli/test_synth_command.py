"""``medqbench synth``: the group whose first word may be left out."""

import pytest

from tests.commands import run


@pytest.mark.parametrize("words", [["synth"], ["synth", "--help"]])
def test_help_names_the_commands(capsys, words):
    _, out, err = run(capsys, *words)
    assert "make" in out + err


@pytest.mark.parametrize("words", [["{}", "--out", "o"], ["--out", "o", "{}"], ["make", "{}", "--out", "o"]])
def test_make_is_what_synth_does(capsys, tmp_path, words):
    code, _, err = run(capsys, "synth", *(word.format(tmp_path) for word in words))
    assert code != 0
    assert str(tmp_path) in err
