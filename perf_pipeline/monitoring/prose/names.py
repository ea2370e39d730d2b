"""Names in prose that no fact holds: agents, models, people and places that were invented."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_TOKEN = re.compile(r"[^\s,;!?()\[\]{}<>\"“”„«»‘’…]+")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LOOKS_LIKE_A_NAME = re.compile(r"[a-z][A-Z]|[A-Z]{2}|_|/|\\|[A-Za-z].*\d|\d.*[A-Za-z]|\w\.\w|@|#|::|=")
_UNITS_AND_FIGURES = re.compile(r"^[~≈<>±+-]?\$?[\d.,:]+(?:%|ms|s|h|min|x|k|USD)?$")

COMMON = frozenset(
    ("utc", "ai", "llm", "api", "id", "ok", "i", "phoenix", "slack", "dagster", "ui", "p50", "p95", "p99")
)
"""What may be said of any fleet."""

THINGS = (
    "agent|model|tool|provider|service|server|version|release|step|deployment|deploy|team|database|endpoint|queue|"
    "cluster|region|customer|vendor|program|prompt|commit|branch|index|cache|gateway|function"
)
_NAMED_BEFORE = re.compile(rf"\b([a-z][\w'’-]*) (?:{THINGS})s?\b")
_NAMED_AFTER = re.compile(r"\b(?:agent|model|tool|provider|service|version|release|named|called) ([a-z][\w'’-]*)\b")

BEFORE_A_THING = frozenset(
    (
        *("the", "a", "an", "this", "that", "these", "those", "its", "their", "our", "your", "any", "each", "some"),
        *("no", "one", "which", "what", "same", "other", "another", "new", "newer", "newest", "old", "older", "last"),
        *(
            "latest",
            "previous",
            "earlier",
            "current",
            "former",
            "prior",
            "failing",
            "failed",
            "slow",
            "slower",
            "broken",
        ),
        *("affected", "faulty", "bad", "good", "likely", "suspected", "language", "first", "next", "of", "to", "on"),
        *(
            "in",
            "with",
            "by",
            "from",
            "and",
            "or",
            "for",
            "at",
            "than",
            "as",
            "into",
            "recent",
            "responsible",
            "calling",
        ),
        *(
            "called",
            "different",
            "backup",
            "fallback",
            "second",
            "back",
            "working",
            "known",
            "revert",
            "check",
            "compare",
        ),
        *("restart", "inspect", "roll", "switch", "restore", "verify", "review", "retry", "pin", "replace", "between"),
        *(
            "per",
            "via",
            "after",
            "before",
            "since",
            "under",
            "change",
            "changed",
            "using",
            "use",
            "uses",
            "call",
            "calls",
        ),
        *("all", "every", "whole", "entire", "agent", "model", "tool", "program", "step", "prompt", "task"),
    )
)
AFTER_A_THING = frozenset(
    (
        *(
            "is",
            "was",
            "were",
            "are",
            "has",
            "had",
            "have",
            "that",
            "which",
            "who",
            "and",
            "or",
            "but",
            "to",
            "of",
            "in",
        ),
        *("on", "at", "by", "for", "from", "with", "since", "after", "before", "until", "when", "while", "as", "than"),
        *(
            "call",
            "calls",
            "called",
            "calling",
            "call's",
            "change",
            "changed",
            "changes",
            "version",
            "versions",
            "first",
        ),
        *(
            "answer",
            "answers",
            "answered",
            "fail",
            "fails",
            "failed",
            "failing",
            "failure",
            "failures",
            "error",
            "errors",
        ),
        *("raised", "raises", "rose", "rises", "fell", "returns", "returned", "output", "outputs", "input", "inputs"),
        *("started", "starts", "began", "begins", "behaves", "takes", "took", "costs", "cost", "may", "might", "must"),
        *("can", "could", "should", "would", "will", "now", "again", "too", "there", "here", "back", "itself", "alone"),
        *("used", "uses", "using", "explains", "explain", "accounts", "causes", "caused", "stands", "seems", "looks"),
        *("traces", "trace", "spans", "span", "prompt", "rollback", "response", "responses", "timeout", "timeouts"),
        *("the", "a", "an", "this", "its", "it", "agent", "model", "tool", "provider", "status", "page", "usage"),
    )
)

VENDORS = frozenset(
    (
        *("openai", "anthropic", "google", "gemini", "azure", "mistral", "cohere", "meta", "llama", "claude", "gpt"),
        *(
            "deepseek",
            "groq",
            "together",
            "bedrock",
            "aws",
            "amazon",
            "microsoft",
            "nvidia",
            "huggingface",
            "xai",
            "grok",
        ),
        *("qwen", "ollama", "vertex", "perplexity", "stripe", "postgres", "redis", "supabase", "railway", "cloudflare"),
        *("github", "salesforce", "hubspot", "kafka", "kubernetes", "pinecone", "weaviate", "qdrant", "datadog"),
    )
) - {"together"}
"""Names that are told of causes, and that prose may write in small letters."""

BEGINNINGS = frozenset(
    (
        *("a", "an", "the", "this", "that", "these", "those", "it", "its", "there", "here", "since", "after", "before"),
        *(
            "at",
            "in",
            "on",
            "of",
            "by",
            "for",
            "from",
            "with",
            "while",
            "when",
            "as",
            "if",
            "and",
            "but",
            "then",
            "also",
        ),
        *("most", "all", "many", "some", "both", "each", "every", "no", "none", "not", "only", "nearly", "almost"),
        *("tasks", "task", "failures", "failure", "failed", "failing", "errors", "error", "latency", "success", "cost"),
        *("costs", "tokens", "traffic", "score", "calls", "answers", "requests", "runs", "logs", "traces", "spans"),
        *("typical", "likely", "probably", "possibly", "perhaps", "evidence", "confidence", "severity", "sure"),
        *(
            "check",
            "compare",
            "roll",
            "revert",
            "restart",
            "restore",
            "pin",
            "switch",
            "raise",
            "lower",
            "retry",
            "look",
        ),
        *("ask", "inspect", "verify", "disable", "enable", "redirect", "route", "confirm", "open", "review", "watch"),
        *(
            "pause",
            "stop",
            "start",
            "test",
            "try",
            "use",
            "fix",
            "add",
            "remove",
            "read",
            "find",
            "see",
            "wait",
            "keep",
        ),
        *(
            "set",
            "replace",
            "update",
            "call",
            "contact",
            "tell",
            "begin",
            "escalate",
            "investigate",
            "monitor",
            "rerun",
        ),
        *("deployment", "model", "provider", "tool", "program", "prompt", "version", "step", "agent", "something"),
        *("nothing", "what", "whatever", "why", "how", "until", "because", "due", "during", "about", "between", "more"),
        *("fewer", "less", "rate", "increase", "decrease", "rise", "fall", "drop", "spike", "cause", "root", "do"),
        *("don't", "avoid", "consider", "undo", "change", "changed", "its", "they", "their", "we", "you", "one"),
    )
)


def unknown_names(prose: str, facts: Sequence[str]) -> list[str]:
    """The names in the prose that stand in no fact, in their order."""
    known = _vocabulary(facts)
    found: list[str] = []
    for sentence in sentences(prose):
        found += _unknown_in(sentence, known)
    return list(dict.fromkeys(found))


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?:;])\s+|\n+", text) if part.strip()]


def words_of(text: str) -> list[str]:
    """The words in small letters, without figures."""
    return [word.lower() for word in _WORD.findall(text)]


def _vocabulary(facts: Iterable[str]) -> set[str]:
    known: set[str] = set(COMMON)
    for fact in facts:
        known.update(words_of(fact))
        known.update(_bare(token) for token in _TOKEN.findall(fact))
    return known


def _bare(token: str) -> str:
    bare = token.strip(".:'`*~").lower()
    return re.sub(r"['’]s$", "", bare)


def _unknown_in(sentence: str, known: set[str]) -> list[str]:
    found = []
    for place, token in enumerate(_TOKEN.findall(sentence)):
        bare = _bare(token)
        if not bare or bare in known or _UNITS_AND_FIGURES.match(token.strip(".:'`*")):
            continue
        if _LOOKS_LIKE_A_NAME.search(token.strip(".:'`*")) or bare in VENDORS or not token.isascii():
            found.append(token)
        elif token[:1].isupper():
            parts = words_of(token)
            may_begin = place == 0 and all(part in BEGINNINGS for part in parts)
            if not may_begin and not all(part in known for part in parts):
                found.append(token)
    small = sentence.lower()
    for pattern, allowed in ((_NAMED_BEFORE, BEFORE_A_THING), (_NAMED_AFTER, AFTER_A_THING)):
        found += [word for word in pattern.findall(small) if word not in known and word not in allowed]
    return found
