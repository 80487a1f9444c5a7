"""Short replies in another language, clause by clause: 'A is B', 'not A but B', 'level: B'."""

from __future__ import annotations

import re
from collections.abc import Callable

from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import Reading

Meanings = frozenset[str]

_LONGEST = 120
_CLAUSES = re.compile(
    r"[,、;\n]|\.(?=\s|\Z)|(?=而是|而应)|(?<=ではなく)|(?<=でなく)|(?<=じゃなく)|(?<=아니라)|(?<=아니고)|(?<=없고)"
    r"|\b(?=sondern\b|sino\b|mais\b|ma\b|maar\b)"
)
# A clause that denies what it names.
_DENIES = re.compile(
    r"(?:不是|并非|並非|没有|沒有|未见|未見|无|無|看不到|不存在|并无|不属于|(?<![^\W_])(?:kein\w*|nicht|pas|aucune?|sans|ohne"
    r"|no es|no hay|sin|niet|geen|non è|não é)(?![^\W_]))|(?:ではな[くい]|でなく|じゃな[くい]|ではありません|ありません"
    r"|見られない|見られません|なし|[가이은는]?\s*(?:아니라|아니고|아닙니다|아니며|없고|없습니다|없음|없다))\s*\Z",
    re.IGNORECASE,
)
_DENIAL_WORDS = re.compile(
    r"(?:图中|圖中|图像中|画面中|画面|图像|影像|该图|此图|这|並|也|并)*\s*"
    r"(?:不是|并非|並非|没有|沒有|未见|未見|无|無|看不到|不存在|并无|不属于)(?:明显的?|任何|出现)?"
    r"|(?<![^\W_])(?:(?:ce\s+)?n'est pas|no es|no hay|kein\w*|nicht|non è|não é|niet|geen|pas)(?![^\W_])"
    r"|(?:ではなく?い?|でなく|じゃなく?い?|ではありません|は?見られない|は?見られません|はありません|[가이은는]?\s*(?:아니라|아니고|아닙니다|아니며|없고|없습니다|없음|없다))\s*\Z",
)
_HEDGES = re.compile(
    r"\?|可能|或许|或許|也许|也許|或者|还是|還是|如果|若|假如|是否|吗|嗎|哪|什么|什麼|应避免|难以|難以|无法|無法|不确定|似乎不"
    r"|かもしれ|可能性|もし|か[。?]|아마|수도|만약|인지|(?<![^\W_])(?:vielleicht|oder|ou|o|wenn|falls|peut-être|quizás|puede"
    r"|könnte|pourrait|podría|si|möglich\w*|entweder|or|if|maybe|could|might|may)(?![^\W_])",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"\b(?:Grad|Schweregrad|nivel|niveau|gravedad|severidad|keine?|nicht|pas|ce|es|non|sondern|sino|ist|das|der|die|el|la|le|les|il|del|di|du)\b",
    re.IGNORECASE,
)
_COPULA = re.compile(
    r":|是|属于|屬於|呈现?(?:为)?|为|為|は|(?<![^\W_])(?:ist|est|es|è|é)(?![^\W_])|(?<=[\uac00-\ud7a3])[은는이가]\s"
)
_LONGEST_SUBJECT = 24
# A clause that gives the verdict, whatever the clauses beside it say.
_VERDICT = re.compile(
    r"(?:因此|所以|故)?(?:主要(?:是|为|问题)|属于|屬於|而是|判断为|应为|应判断为|主に)|sondern\b|sino\b"
)
_NOT_SO = re.compile(r"[不没沒未非]|(?<![^\W_])(?:nicht|no|pas|non|não|niet)(?![^\W_])|ない|않", re.IGNORECASE)
_GRADES = frozenset({"none", "mild", "moderate", "severe"})


def by_clauses(
    text: str, options: OptionSet, meaning: Callable[[str], Meanings | None], named: Callable[[str], Meanings]
) -> Reading | None:
    """The one option that the clauses of a short reply affirm.

    Args:
        meaning: what a text says, or None where it has unknown words.
        named: the names of the glossary that stand in a text.
    """
    if len(text) > _LONGEST or (text.isascii() and not _FOREIGN.search(text)) or _HEDGES.search(text):
        return None
    known = {letter: meaning(" ".join(words)) for letter, words in options.words.items()}
    affirmed: set[str] = set()
    denied: set[str] = set()
    verdicts: set[str] = set()
    unclear = False
    for clause in _CLAUSES.split(text):
        clause = clause.strip()
        if not clause or not re.search(r"[^\W_]", clause):
            continue
        said = meaning(clause)
        if _DENIES.search(clause) or (said is not None and "none" in said and match(said, known) is None):
            letter = match(said, known) if said is not None and "none" in said else None
            rest = meaning(_DENIAL_WORDS.sub("", clause))
            if letter is not None and "none" in (known[letter] or ()):
                affirmed.add(letter)
            elif rest is not None:
                denied |= {other for other, what in known.items() if what and rest - {"none"} and what & rest}
            else:
                unclear = True
            continue
        letter = _affirmed(clause, known, meaning, named)
        if letter is not None:
            (verdicts if _VERDICT.match(clause) else affirmed).add(letter)
        elif any(what and what <= named(clause) for what in known.values()):
            unclear = True
    if not verdicts and unclear:
        return None
    chosen = verdicts or affirmed
    return Reading(chosen.pop()) if len(chosen) == 1 and not chosen & denied else None


def _affirmed(
    clause: str,
    known: dict[str, Meanings | None],
    meaning: Callable[[str], Meanings | None],
    named: Callable[[str], Meanings],
) -> str | None:
    whole = meaning(clause)
    if whole and (letter := match(whole, known)) is not None:
        return letter
    copulas = [found for found in _COPULA.finditer(clause) if found.start() <= _LONGEST_SUBJECT]
    for copula in reversed(copulas):
        said = meaning(clause[copula.end() :])
        if not said:
            continue
        if _NOT_SO.search(clause[: copula.start()]):
            return None
        about = named(clause[: copula.start()])
        letter = match(said | about, known) or match(said, known)
        # A subject that is another option makes it hard to tell which of the two is meant.
        rivals = [other for other, what in known.items() if what and other != letter and what <= about]
        return letter if letter is not None and not rivals else None
    return None


def match(said: Meanings, known: dict[str, Meanings | None]) -> str | None:
    """The one option that means what was said; else the one that has it as a part."""
    same = [letter for letter, what in known.items() if what == said]
    if not same and "none" not in said:
        same = [letter for letter, what in known.items() if what is not None and said < what]
    if not same and all(what is not None and len(what) == 1 and what <= _GRADES for what in known.values()):
        # 'severe noise' where the options are grades
        same = [letter for letter, what in known.items() if what == said & _GRADES]
    return same[0] if len(same) == 1 else None
