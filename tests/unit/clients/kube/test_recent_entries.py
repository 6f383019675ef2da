"""Bounded cache of entries that are made when they are needed."""

from __future__ import annotations

from memroll.clients.kube.recent_entries import RecentEntries


def test_an_entry_is_made_once():
    entries: RecentEntries[str, list[int]] = RecentEntries(list, 2)
    entries["a"].append(1)
    assert entries["a"] == [1]


def test_the_entry_that_was_not_used_for_longest_is_dropped():
    entries: RecentEntries[str, list[int]] = RecentEntries(list, 2)
    for key in ("a", "b", "a", "c"):
        entries[key].append(1)
    assert len(entries) == 2
    assert (entries["a"], entries["b"]) == ([1, 1], [])
