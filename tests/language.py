"""Counts of private language: forbidden openings of docstrings, private words, and class names that occur twice.

Counts them in the repository's texts. `make language` prints the counts by folder; tests/unit/project/test_language.py
fails if there are any. CONTRIBUTING.md has the glossary and the rules.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache

from tests.texts import Kind, all_texts, nodes, python_files

FORBIDDEN_OPENING = re.compile(r"(What|Which|Who|Whether|How|Whatever|Whoever|Those|(The )?[Oo]nes? that)\b")
PRIVATE_WORDS = {
    r"says?|said|saying": "report, return, log, contain",
    r"tells?|told|telling": "report",
    r"asks?|asked|asking": "query, request, require",
    r"wants?|wanted": "require",
    r"knows?": "store, cache",
    r"believes?": "assume",
    r"doubts?|doubted": "uncertain, unknown",
    r"judge[sd]?|judging|judge?ments?": "assess, compare",
    r"speaks? (for|against)|spoke": "reason",
    r"looks at|looked at": "check, inspect",
    r"learns|learnt|learned": "compare, measure",
    r"(stands?|stood)(?! (out|for|in for)\b)": "be, remain",
    r"bears": "have, contain",
    r"be had|is had|was had": "available",
    r"for want of|but for": "without, except",
    r"in vain": "unsuccessfully, ineffective",
    r"beside": "next to, besides",
    r"anew": "again",
    r"lately": "recently",
    r"any more": "no longer",
    r"so many": "that many",
    r"whoever": "name the person or process",
    r"whence|thereof|wherein": "present-day English",
    r"worth": "effect, enough to",
    r"as it was": "unchanged, restored",
    r"(put|puts|putting|taken|takes|took) (it |them )?back": "restore, roll back",
    r"lets? go of|letting go": "release",
    r"troubles?": "error",
    r"witness(es)?": "check",
    r"innocents?": "healthy",
    r"suspects?": "candidate",
    r"acquit\w*|guilty|culprits?|doomed": "healthy, leaking, at risk",
    r"guards?": "check, rate limit",
    r"runaway": "rate limit",
    r"floors?": "lower envelope",
    r"climb(s|ed|ing)?": "growth phase, grow",
    r"last stretch": "close to the limit",
    r"ceilings?": "threshold",
    r"screenings?": "prefilter",
    r"yesterday": "seasonality, the day before",
    r"siblings?": "peers",
    r"newcomers?": "replacement",
    r"strays?": "orphaned pod",
    r"held back|holds back|on hold": "blocked",
    r"veto(es|ed)?": "cancel",
    r"mandates?": "permissions",
    r"fenced?": "admission policy",
    r"retire[sd]?": "cleanup, uninstall",
    r"(a|each|every|one|this|next|last) pass": "reconcile",
}
"""Regular expression of each private word, and the words to use for it. Ordinary English must not match."""
_ANY_WORD = re.compile(r"\b(" + "|".join(f"(?:{pattern})" for pattern in PRIVATE_WORDS) + r")\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    """Violation of a rule, with its place."""

    path: str
    line: int
    found: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found}"


@cache
def forbidden_openings() -> list[Hit]:
    """Return the docstrings that begin with a relative clause instead of a verb or a noun."""
    docstrings = [t for t in all_texts() if t.kind is Kind.DOCSTRING]
    return [Hit(t.path, t.line, t.text[:60]) for t in docstrings if FORBIDDEN_OPENING.match(t.text)]


@cache
def private_words() -> list[Hit]:
    """Return each occurrence of a private word, with the words to use instead."""
    return [Hit(t.path, t.line, found) for t in all_texts() for found in private_words_in(t.prose)]


def private_words_in(prose: str) -> list[str]:
    return [
        f"{m.group()!r} in {prose[max(0, m.start() - 25) : m.end() + 25].strip()!r}; use: {_instead_of(m.group())}"
        for m in _ANY_WORD.finditer(prose)
    ]


def _instead_of(word: str) -> str:
    return next(use for pattern, use in PRIVATE_WORDS.items() if re.match(pattern, word, re.IGNORECASE))


def duplicate_class_names(folder: str = "operator") -> dict[str, list[str]]:
    """Return the class names that occur more than once in a tree, with their modules."""
    places: dict[str, list[str]] = {}
    for path in python_files(folder):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path)
    return {name: paths for name, paths in sorted(places.items()) if len(paths) > 1}


def main() -> None:
    """Print the counts by folder; with `--list` every violation, too."""
    openings, found, classes = forbidden_openings(), private_words(), duplicate_class_names()
    if "--list" in sys.argv:
        sys.stdout.writelines(f"{hit}\n" for hit in [*openings, *found])
    words: Counter[str] = Counter()
    for text in all_texts():
        words[_folder(text.path)] += len(re.findall(r"[A-Za-z][A-Za-z'-]*", text.prose))
    hits, opened = Counter(_folder(h.path) for h in found), Counter(_folder(h.path) for h in openings)
    sys.stdout.write(f"{'folder':<28} {'words':>8} {'private':>8} {'per 1,000':>10} {'openings':>9}\n")
    for folder, count in [*sorted(words.items()), ("all", words.total())]:
        private, opening = (hits[folder], opened[folder]) if folder != "all" else (len(found), len(openings))
        sys.stdout.write(f"{folder:<28} {count:>8} {private:>8} {1000 * private / count:>10.2f} {opening:>9}\n")
    listed = ", ".join(f"{name} ({len(paths)})" for name, paths in classes.items())
    sys.stdout.write(f"class names that occur twice in the operator: {len(classes)} {listed}\n")


def _folder(path: str) -> str:
    """Return the folder under which a file is counted: two levels in the large trees."""
    parts = path.split("/")
    depth = 3 if parts[:2] in (["operator", "memroll"], ["tests", "unit"]) else 2
    return "/".join(parts[: min(depth, len(parts) - 1)]) or "."


if __name__ == "__main__":
    main()
