"""What is said to a model: the official texts, read from the installed kit, and this package's own styles."""

from __future__ import annotations

from medqbench_vlmeval.prompts.styles import DEFAULT_STYLE, STYLES, build_text, check_style, style_hash

__all__ = ["DEFAULT_STYLE", "STYLES", "build_text", "check_style", "style_hash"]
