"""Texts that every store can hold."""

from __future__ import annotations


def whole_text(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair that stands alone.

    JavaScript servers that cut a text in the middle of an emoji write such halves; neither Arrow nor UTF-8 has them.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
