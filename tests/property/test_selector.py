"""A selector matches the same labels as its query does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memroll.api.selector import LabelSelector
from tests.contract.cluster.api_semantics import selects

KEYS, VALUES = st.sampled_from(["a", "b", "x.io/c"]), st.sampled_from(["", "1", "2"])
LABELS = st.dictionaries(KEYS, VALUES)
LISTED = st.fixed_dictionaries(
    {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(VALUES, min_size=1, max_size=3)}
)
PRESENT = st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])})
SELECTORS = st.fixed_dictionaries(
    {"matchLabels": LABELS, "matchExpressions": st.lists(LISTED | PRESENT, max_size=3)}
).filter(lambda s: s["matchLabels"] or s["matchExpressions"])


@given(SELECTORS, LABELS)
def test_labels_match_as_the_query_does(raw, labels):
    selector = LabelSelector.model_validate(raw)
    assert selector.matches(labels) == selects(selector.to_query(), labels)
