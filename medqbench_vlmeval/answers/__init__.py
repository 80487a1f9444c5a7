"""Replies -> option letters.

A reply is cleaned (:mod:`.cleaning`), its thoughts and run-on turns are cut off (:mod:`.turns`), its markup is
taken off (:mod:`.markup`), and ordered, named rules (:mod:`.rules`) look for what the model gave as its answer.
A rule that is not sure answers nothing: a letter is recorded only where a careful reader would record it.
"""

from __future__ import annotations

from medqbench_vlmeval.answers.choice import extract, extract_choice

__all__ = ["extract", "extract_choice"]
