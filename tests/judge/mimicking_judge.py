"""A judge that takes what mimics a delimiter for the real one: the other end of ``simulated_judge``.

It decodes whatever it can, to a fixed point, with decoders of its own. A region ends at the first bracket of any kind
with a slash of any kind or an 'end' before anything like the region's name, whatever stands between; at any token of
``TOKENS``, and at a line that begins with a role ('### Assistant:'). The lines' marks mean nothing to it.
"""

from __future__ import annotations

import html
import re
import unicodedata
import urllib.parse
from functools import cache

from confusable_homoglyphs import confusables

from tests.judge.simulated_judge import Read

# Tokens of public chat templates, as their files spell them. The rule that takes tokens apart was written before
# this list was collected, and none of it was mended for one.
TOKENS = (
    *(
        "<|role_end|>",
        "<role>ASSISTANT</role>",
        "<|endofuserprompt|>",
        "<|extra_4|>",
        "<｜hy_Assistant｜>",
        "<|im_middle|>",
    ),
    *(
        "<｜hy_place▁holder▁no▁3｜>",
        "<|im_assistant|>",
        "<seed:eos>",
        "<|role_start|>bot",
        "<|start_of_role|>",
        "<C_A>",
    ),
    *("<C_Q>", "<B_SYS>", "<sep>", "<human>:", "<bot>:", "[USER]", "[SEP][BOT]", "[|Human|]:", "[|AI|]:", "<_system>"),
    *(
        "<s>bot",
        "[gMASK]sop",
        "<|EOT|>",
        "<|header_start|>",
        "<end_of_utterance>",
        "<|END_OF_TURN_TOKEN|>",
        "<|eom_id|>",
    ),
    *(
        "<｜end▁of▁sentence｜>",
        "[|endofturn|]",
        "[e~[",
        "]~b]ai",
        "<|message|>",
        "<|im_sep|>",
        "<|end_of_role|>",
        "<_end>",
    ),
    *(
        "[/SYSTEM_PROMPT]",
        "[unused10]",
        "[UNUSED_TOKEN_145]",
        "<用户>",
        "<AI>",
        "<|separator|>",
        ">>QUESTION<<",
        "<eot_id>",
    ),
    *(
        "<extra_id_1>User",
        "<SPECIAL_12>",
        "<|assistant_end|>",
        "<reserved_102>",
        "<unused1>",
        "<|CHATBOT_TOKEN|>",
        "<_bot>",
    ),
)
ROLES = (
    "### Assistant:",
    "### Human:",
    "USER:",
    "Assistant:",
    "GPT4 Correct User:",
    "Ассистент:",
    "#System:",
    "系统：",
)
NAMES = ("candidate", "candidatetext", "reference", "referencetext", "optionstext", "text", "answer", "response")
_SLASHES = "/\\ノ⼃丿㇓〳"
_END = r"(?:end|close|stop|fin)\w{0,3}"


def _decoded(text: str) -> str:
    """The text with entities and escapes of many kinds decoded until none is left."""

    def utf7(match: re.Match[str]) -> str:
        try:
            signs = match.group().rstrip("-").encode().decode("utf-7")
        except ValueError:
            return match.group()
        return signs if signs.isprintable() and not re.search(r"[^\W_]", signs) else match.group()

    for _ in range(50):
        before = text
        text = urllib.parse.unquote(html.unescape(text))
        text = re.sub(r"(?i)(?:%u|\\u|U\+)([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), text)
        text = re.sub(r"(?i)\\[ux]\{([0-9a-f]{1,5})\}", lambda code: chr(int(code[1], 16)), text)
        text = re.sub(r"(?i)(?:\\x|=)([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), text)
        text = re.sub(r"\\(0?[0-7]{2})(?![0-7])", lambda code: chr(int(code[1], 8)), text)
        text = re.sub(r"\\N\{([A-Z -]+)\}", lambda name: unicodedata.lookup(name[1]), text)
        text = re.sub(r"\+[A-Za-z0-9/]{3,12}-", utf7, text)
        if text == before:
            return text
    return text


@cache
def _plain(character: str) -> str:
    """A letter as the ASCII letter that it looks like, any bracket as '<', any slash as '/'."""
    if character in _SLASHES:
        return "/"
    if character.isascii():
        return "<" if character in "<[{(" else character.lower()
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf", "Cc"):
        return ""
    if category in ("Ps", "Pi", "Sm", "So") or character in "くᚲᐸ":
        return "<"
    found = confusables.is_confusable(character, greedy=True) or []
    alike = [
        sign["c"] for entry in found for sign in entry["homoglyphs"] if sign["c"].isascii() and len(sign["c"]) == 1
    ]
    return "/" if "/" in alike else (alike[0].lower() if alike else character.lower())


def seen(text: str) -> str:
    """The text as this judge sees it."""
    return "".join(map(_plain, unicodedata.normalize("NFKD", _decoded(text))))


_CLOSING = re.compile(
    rf"<[^a-z\n]{{0,30}}(?:/[^a-z]{{0,20}}|{_END}[\W_]{{0,5}}(?:of[\W_]*)?(?:the[\W_]*)?)([a-z0-9\W_]{{4,40}})"
)
_TOKEN = re.compile("|".join(re.escape(token.lower()) for token in TOKENS))
_ROLE = re.compile("|".join(rf"^{re.escape(role.lower())}" for role in ROLES), re.MULTILINE)


def mimicked(text: str) -> int | None:
    """Where, in the text as it is seen, this judge takes something for a delimiter; None where it takes nothing."""
    view = seen(text)
    ends = [
        closing.start()
        for closing in _CLOSING.finditer(view)
        if re.sub(r"[^a-z]", "", closing[1].replace("1", "i").replace("4", "a").replace("0", "o")).startswith(NAMES)
    ]
    raw = unicodedata.normalize("NFC", _decoded(text)).lower()
    whole = [match.start() for match in (_TOKEN.search(raw), _ROLE.search(raw)) if match]
    return min([*ends, *whole], default=None)


def read_prompt(prompt: str) -> Read:
    """Take a prompt apart: its tags are at their lines, and a region ends where something mimics its end."""
    code = re.search(r"between tags that carry the code (\w+)", prompt)
    if code is None:
        return Read(seen(prompt), seen(prompt).partition("<")[2])
    outside, candidate, at = [], "", 0
    for region in re.finditer(rf"^<(\w+)_{code[1]}>\n(.*?)\n</\1_{code[1]}>$", prompt, re.DOTALL | re.MULTILINE):
        outside.append(seen(prompt[at : region.start()]))
        inside = seen(region[2])
        end = mimicked(region[2])
        outside.append("" if end is None else inside[end:])
        candidate += inside[:end] if region[1].startswith("candidate") else ""
        at = region.end()
    return Read("\n".join([*outside, seen(prompt[at:])]), candidate)
