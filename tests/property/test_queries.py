"""Any name stays inside its quotes in a query and matches only itself."""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import quote_plus

from hypothesis import given
from hypothesis import strategies as st

from memroll.clients.prometheus.promql import (
    RSS,
    Matcher,
    MatchOperator,
    QueryScope,
    any_of,
    chunk_pods,
    container_selector,
    pod_name_pattern,
    raw_samples,
)
from memroll.model.pod_names import SUFFIX_ALPHABET, PodPattern

NASTY = st.sampled_from(['"', "\\", '\\"', "\n", "}", "{", " or ", '"} or {a=~".+', "`", "'", ",", "|", "[9y]", "#"])
ANY = st.one_of(
    st.text(), st.lists(st.one_of(NASTY, st.characters(exclude_categories=["Cs"])), min_size=1).map("".join)
)
NAMES = ANY.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))

# Written from the grammar of Prometheus' lexer, not from the code under test.
LITERAL = r'"(?:[^"\\\n\ufffd]|\\(?:["\\bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}))*"'
MATCHER = re.compile(rf"([a-z]+)(=~|!~|!=|=)({LITERAL})")


class Parsed(NamedTuple):
    metric: str
    matchers: list[tuple[str, str, str]]
    window: str


def parse(query: str) -> Parsed:
    """Read a query as Prometheus would: names, operators, literals, and nothing else in between."""
    metric, brace, rest = query.partition("{")
    assert brace
    matchers = []
    while True:
        found = MATCHER.match(rest)
        assert found, rest
        matchers.append((found[1], found[2], json.loads(found[3])))
        rest = rest[found.end() :]
        if rest[0] == "}":
            break
        assert rest[0] == ","
        rest = rest[1:]
    window = re.fullmatch(r"\}\[([0-9]+m?s)\]", rest)
    assert window, rest
    return Parsed(metric, matchers, window[1])


def alternatives(pattern: str) -> list[str]:
    """Undo the escapes of a pattern of literals; any operator left unescaped, but `|`, is a failure."""
    names, at = [""], 0
    while at < len(pattern):
        char = pattern[at]
        if char == "|":
            names.append("")
        elif char == "\\":
            at += 1
            assert pattern[at] in r"\.+*?()|[]{}^$", "RE2 gives other escapes a meaning"
            names[-1] += pattern[at]
        else:
            assert char not in ".+*?()[]{}^$"
            names[-1] += char
        at += 1
    return names


def of_pods(namespace: str, pods: list[str], cluster: str = "") -> Parsed:
    scope = QueryScope(namespace, {"cluster": cluster} if cluster else {})
    return parse(raw_samples(container_selector(RSS, scope, Matcher("pod", MatchOperator.MATCHES, any_of(pods))), 90))


@given(namespace=NAMES, pods=st.lists(NAMES, min_size=1, max_size=5), cluster=NAMES.filter(bool))
def test_names_are_preserved_by_quoting(namespace: str, pods: list[str], cluster: str) -> None:
    parsed = of_pods(namespace, pods, cluster)
    assert (parsed.metric, parsed.window) == (RSS, "90s")
    *others, (pod, matches, pattern), of_cluster, last = parsed.matchers
    assert of_cluster == ("cluster", "=", cluster)
    assert others == [("container", "!=", ""), ("container", "!=", "POD")]
    assert (pod, matches) == ("pod", "=~")
    assert alternatives(pattern) == pods
    assert last == ("namespace", "=", namespace)


@given(pods=st.lists(NAMES, min_size=1, max_size=5), name=NAMES)
def test_a_pattern_matches_the_names_and_no_other(pods: list[str], name: str) -> None:
    [(_, _, pattern)] = [m for m in of_pods("ai", pods).matchers if m[0] == "pod"]
    assert bool(re.fullmatch(pattern, name)) == (name in pods)
    assert all(re.fullmatch(pattern, pod) for pod in pods)


PARTS = st.integers(min_value=1, max_value=3)
SUFFIXES = st.lists(st.text(SUFFIX_ALPHABET + "aey-1", min_size=1, max_size=11), max_size=3)


@given(prefix=NAMES.filter(bool), parts=PARTS, suffixes=SUFFIXES)
def test_the_query_of_a_pattern_matches_the_same_names_as_the_pattern(
    prefix: str, parts: int, suffixes: list[str]
) -> None:
    pattern, name = PodPattern(prefix, parts), "-".join([prefix, *suffixes])
    assert bool(re.fullmatch(pod_name_pattern(pattern), name)) == pattern.matches(name)


@given(data=st.data(), prefix=NAMES.filter(bool), parts=PARTS)
def test_a_pattern_matches_every_name_that_kubernetes_makes(data: st.DataObject, prefix: str, parts: int) -> None:
    hashed = [data.draw(st.text(SUFFIX_ALPHABET, min_size=1, max_size=10)) for _ in range(parts - 1)]
    random = data.draw(st.text(SUFFIX_ALPHABET, min_size=5, max_size=5))
    assert PodPattern(prefix, parts).matches("-".join([prefix, *hashed, random]))


@given(
    pods=st.lists(NAMES, max_size=300),
    pods_max=st.integers(min_value=1, max_value=300),
    bytes_max=st.integers(min_value=1, max_value=2000),
)
def test_chunks_hold_every_name_once(pods: list[str], pods_max: int, bytes_max: int) -> None:
    chunks = list(chunk_pods(pods, pods_max, bytes_max))
    assert [pod for chunk in chunks for pod in chunk] == sorted(set(pods))
    assert all(1 <= len(chunk) <= pods_max for chunk in chunks)
    assert all(len(chunk) == 1 or len(quote_plus(any_of(chunk))) <= bytes_max for chunk in chunks)
