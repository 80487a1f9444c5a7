"""Which part of a reply is the model's answer: not its thoughts, not the turns that it made up afterwards."""

from __future__ import annotations

import itertools
import re

_THOUGHT = r"think(?:ing)?|thoughts?|reasoning|analysis|seed:think|reflection"
_OPEN = re.compile(
    rf"<\|?(?:{_THOUGHT})\|?>|◁think▷|<unused94>|\[THINK\]|<\|channel\|>analysis(?:<\|message\|>)?",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"</\|?(?:{_THOUGHT})\|?>|<\|/(?:{_THOUGHT})\|>|◁/think▷|<unused95>|\[/THINK\]"
    r"|<\|channel\|>final(?:<\|message\|>)?|^#+[ \t]*Final Response[ \t:*]*$",
    re.IGNORECASE | re.MULTILINE,
)
_PLAIN_THOUGHT = re.compile(r"^\s*#+[ \t]*Thinking\b", re.IGNORECASE)
_END = re.compile(
    r"<\|(?:im_end|eot_id|eot|endoftext|end_of_text|end|return|eos)\|>|</s>|<eos>|<end_of_turn>|<｜end▁of▁sentence｜>"
    r"|\[/?INST\]|<\|user\|>|<｜User｜>",
    re.IGNORECASE,
)
_ECHO = re.compile(
    r"\s*(?:(?:<s>|<bos>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>)\s*){0,3}"
    r"(?:\[INST\]|<\|(?:user|system)\|>|<\|im_start\|>\s*(?:user|system)|<start_of_turn>\s*user|<｜User｜>"
    r"|<\|start_header_id\|>\s*(?:user|system)|<\|start\|>(?:user|system|developer))",
    re.IGNORECASE,
)
_REPLY_STARTS = re.compile(
    r"\[/INST\]|<\|assistant\|>|<\|im_start\|>\s*assistant|<start_of_turn>\s*model|<｜Assistant｜>"
    r"|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<\|start\|>assistant",
    re.IGNORECASE,
)
_ASSISTANT = re.compile(
    r"<\|im_start\|>\s*assistant|<start_of_turn>\s*model|\[/INST\]"
    r"|^[ \t]*(?:assistant|bot|gpt)[ \t]*:|(?:^|(?<=\s))(?:#+[ \t]*)?(?:ASSISTANT|Assistant|GPT|Bot|AI"
    r"|(?:#+[ \t]*)Response|Response|Output|Model)[ \t]*:",
    re.MULTILINE,
)
_NEXT_TURN = re.compile(
    r"^[ \t]*(?:#+[ \t]*)?(?:\*\*)?(?:(?:[Uu]ser|USER|[Hh]uman|HUMAN|Question|Q|Instruction|问题|###[ \t]*Instruction)"
    r"[ \t]*(?:\d+[ \t]*)?[:：]|<\|im_start\|>[ \t]*user|<start_of_turn>user)",
    re.MULTILINE,
)
# Headings under which a reply may restate its own task as well as make up a new one: the text before them is the
# answer only where it holds one.
_NEXT_TASK = re.compile(
    r"^[ \t]*(?:#+[ \t]*)?(?:\*\*)?(?:(?:(?:Your|New|Next|Second|Another|Follow-?up)[ \t]+)"
    r"(?:task|question|problem|exercise|instruction)s?\b"
    r"|(?:Question|Problem|Exercise|Task|Example|Instruction)[ \t]*\d+\b|Q\d+[ \t]*[:.)]"
    r"|(?:#+[ \t]*)(?:Question|Task|Problem|Exercise|Instruction)s?\b"
    r"|(?:Task|Instructions?|Problem|Exercise)[ \t]*(?:\*\*)?:"
    r"|(?:Using|Based on|Given|Look at|For|Considering) the (?:same |above |given |following )?(?:image|picture|scan)"
    r"(?: above| again)?,[^\n]{0,40}\b(?:answer|choose|select|describe|identify|determine)\b)",
    re.MULTILINE | re.IGNORECASE,
)
_ANSWERED = re.compile(r"^[ \t]*(?:#+[ \t]*)?(?:\*\*)?A(?:nswer|ns)?[ \t]*(?:\*\*)?:", re.MULTILINE | re.IGNORECASE)
_PREAMBLE = re.compile(r"\s*(?:A chat between|SYSTEM[ \t]*:|System[ \t]*:)")
# A question with its answer: 'Q: Which degradation? / A: B'.
_REPLIED = re.compile(r"\s*Q\d*[ \t]*:[^\n]{0,600}\n[ \t]*A\d*[ \t]*:([^\n]+)\Z")
_SPECIAL = re.compile(
    r"<\|(?!begin_of_box|end_of_box)[^|<>\n]{1,40}\|>|</?s>|<(?:eos|bos|pad|unk|image|end_of_turn)>"
    r"|<start_of_turn>(?:model)?|<(?:unused\d+|0x[0-9A-F]{2})>|\[/?INST\]|<｜[^｜<>\n]{1,40}｜>"
)


def split_thoughts(text: str) -> tuple[str, str | None]:
    """``(answer part, thoughts)``.

    The answer part is what follows the last closing mark. Where a thought was opened and never closed, what
    stood before it is the answer part. Thoughts are None where there were none.
    """
    ends = list(_CLOSE.finditer(text))
    if ends:
        end = ends[-1]
        rest = text[end.end() :]
        again = _OPEN.search(rest)
        if again is not None:
            return rest[: again.start()], rest[again.end() :]
        return rest, text[: end.start()]
    start = _OPEN.search(text) or _PLAIN_THOUGHT.search(text)
    if start is not None:
        return text[: start.start()], text[start.end() :]
    return text, None


def first_turn(text: str) -> str:
    """The text up to the first end-of-turn token that has something before it."""
    position = 0
    for end in _END.finditer(text):
        if _SPECIAL.sub("", text[position : end.start()]).strip():
            return text[: end.start()]
        position = end.end()
    return text


def without_tokens(text: str) -> str:
    """The text without the special tokens of chat templates."""
    return _SPECIAL.sub(" ", text) if "<" in text or "[" in text else text


def without_echo(text: str) -> str:
    """The text without an echo of the prompt in the tokens of a chat template, at its start."""
    if _ECHO.match(text) is None:
        return text
    start = _REPLY_STARTS.search(text)
    return text[start.end() :] if start is not None else text


def after_reply_token(text: str) -> str:
    """What follows the first token that opens the assistant's turn; nothing where there is none."""
    start = _REPLY_STARTS.search(text)
    return text[start.end() :] if start is not None else ""


def turns(text: str) -> tuple[str, ...]:
    """The parts in which to look, in order: a part but the last one counts only where it holds a letter.

    The last part is the reply up to the first turn that the model made up, or, after an echo of the question, what
    the assistant says first; the parts before it end at headings that may or may not open a new task.
    """
    body = _own_turn(text)
    before = [body[: cut.start()] for cut in _NEXT_TASK.finditer(body)][:3]
    return (*(part for part in before if part.strip()), body)


def _own_turn(text: str) -> str:
    if not any(mark in text for mark in ":：<["):  # each pattern below has one of them
        return text
    cuts = list(itertools.islice(_NEXT_TURN.finditer(text), 3))
    part = text
    if cuts and (not text[: cuts[0].start()].strip() or _PREAMBLE.match(text)):
        # An echo of the question. The next one is made up, if this one has been answered.
        for cut in cuts[1:]:
            said = text[cuts[0].end() : cut.start()]
            if _ASSISTANT.search(said) or _ANSWERED.search(said):
                part = text[: cut.start()]
                break
    elif cuts:
        part = text[: cuts[0].start()]
    replied = _REPLIED.match(part)
    if replied is not None:
        part = replied[1]
    said_by = list(_ASSISTANT.finditer(part))
    if said_by and part[said_by[-1].end() :].strip():
        part = part[said_by[-1].end() :]
    return part
