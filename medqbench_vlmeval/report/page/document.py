"""Putting the page together: data in a script element that no browser runs, and a policy that allows this page's own
style and script by their hashes and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval.report.page.figures import Figure
from medqbench_vlmeval.report.text import storable

_ASSETS = Path(__file__).parent / "assets"
STYLES = ("theme.css", "summary.css", "samples.css")
SCRIPTS = (
    "dom.js",
    "data.js",
    "state.js",
    "theme.js",
    "board.js",
    "facets.js",
    "failures.js",
    "findings.js",
    "filters.js",
    "list.js",
    "answers.js",
    "detail.js",
    "keys.js",
    "main.js",
)
# '<' could end the element or open a comment in it; the two separators are line ends to older script parsers.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED = re.compile("[<>&\u2028\u2029]")


def json_text(value: Any) -> str:
    """JSON for a script element of type application/json; the same value gives the same text."""
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], storable(plain))


def document(title: str, told: Any, pictures: Sequence[Any], drawn: Sequence[Figure]) -> str:
    """The whole page as HTML.

    Args:
        title: its title, plain text.
        told: what the script shows, plain JSON.
        pictures: the images, in a script element of their own that is read when the first one is shown.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = "\n".join(_asset(name) for name in STYLES)
    script = '(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in SCRIPTS) + "})();\n"
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{_hash(style)}'",
            f"script-src 'sha256-{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_ASSETS),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        policy=policy,
        # Made by this package, or escaped above.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        data=Markup(json_text(told)),  # noqa: S704
        pictures=Markup(json_text(pictures)),  # noqa: S704
        figures=[(figure.title, Markup(figure.svg)) for figure in drawn],  # noqa: S704
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()
