"""Replies -> option letters, and descriptions -> conclusions and quality attributes. A reply is made plain
(:mod:`.plain`), and ordered, named rules (:mod:`.choice`) look for the answer that was given. A rule that is not sure
answers nothing: a letter is recorded only where a careful reader would record it. So it is with the confidence that a
reply states (:mod:`.confidence`)."""

from __future__ import annotations

from medqbench_vlmeval.answers.choice import extract, extract_choice
from medqbench_vlmeval.answers.confidence import read_confidence

__all__ = ["extract", "extract_choice", "read_confidence"]
