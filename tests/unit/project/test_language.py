"""Texts are in plain English and use the terms of CONTRIBUTING.md's glossary."""

from __future__ import annotations

import re

import pytest

from tests import language

RULES = {"openings": language.forbidden_openings, "words": language.private_words}


@pytest.mark.parametrize("rule", RULES)
def test_no_text_breaks_a_rule(rule):
    assert [str(hit) for hit in RULES[rule]()] == []


def test_a_class_name_occurs_once_in_the_operator():
    assert language.duplicate_class_names() == {}


@pytest.mark.parametrize(
    "docstring",
    ["What a roll was", "Which pods", "Whoever holds it", "Those that leak", "One that leaks", "The one that leaks"],
)
def test_a_relative_clause_is_a_forbidden_opening(docstring):
    assert language.FORBIDDEN_OPENING.match(docstring)


@pytest.mark.parametrize(
    "docstring", ["Return whether it leaks", "True if it leaks", "Whole number of pods", "Ones", "However small it is"]
)
def test_a_verb_or_a_noun_is_a_permitted_opening(docstring):
    assert not language.FORBIDDEN_OPENING.match(docstring)


@pytest.mark.parametrize(
    "sentence",
    [
        "The verdict is told at once.",
        "memroll asks Prometheus",
        "It stands beside the other.",
        "a leak was put back",
        "the floor of a climb",
        "no room for so many",
        "each pass reads it",
        "Siblings stood as high.",
    ],
)
def test_a_private_word_is_found(sentence):
    assert language.private_words_in(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The replica on standby takes over.",
        "CRD stands for custom resource definition, and the rise stands out from the noise.",
        "A known leak is unknown to Prometheus; the task is asynchronous.",
        "All checks pass, and the function passes the value on.",
        "A bearer token is essential to the safeguard.",
        "Suspected is a verdict, LeakSuspected is an Event.",
        "It is too much. So, many pods are rolled.",
    ],
)
def test_ordinary_english_is_not_a_private_word(sentence):
    assert language.private_words_in(sentence) == []


@pytest.mark.parametrize("pattern", language.PRIVATE_WORDS)
def test_a_private_word_is_a_regular_expression_with_a_replacement(pattern):
    assert re.compile(pattern)
    assert language.PRIVATE_WORDS[pattern]
