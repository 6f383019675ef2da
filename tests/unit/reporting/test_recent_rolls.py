"""`status.lastAction`: the newest roll or dry run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.dry_run import DryRun
from memroll.api.last_roll import LastAction
from memroll.reporting.outcome import Outcome
from memroll.reporting.recent_rolls import last_action
from tests.builders import NOW, at, ended_roll, policy, records, roll

DRY = DryRun(pod="web-1", container="app", time=at(-30))


def outcome(*rolls, old: LastAction | None = None) -> Outcome:
    known = policy()
    changed = known.model_copy(update={"status": known.status.model_copy(update={"last_action": old})})
    return replace(Outcome(changed, NOW), rolls=records(*rolls))


@pytest.mark.parametrize(
    ("rolls", "dry_runs", "expected"),
    [
        ([], [], None),
        ([ended_roll("Succeeded", -60)], [], ("Rolled", "leaky-abc", at(-60))),
        ([ended_roll("Failed", -60), ended_roll("Aborted", -20)], [], ("Aborted", "leaky-abc", at(-20))),
        ([ended_roll("Succeeded", -60), roll("Draining")], [], ("Rolling", "leaky-abc", NOW)),
        ([ended_roll("Succeeded", -60)], [DRY], ("WouldRoll", "web-1", at(-30))),
    ],
)
def test_the_last_action_is_the_newest_one(rolls, dry_runs, expected):
    found = last_action(outcome(*rolls), dry_runs)
    assert (found and (found.action, found.pod, found.time)) == expected


def test_it_outlives_its_podroll():
    old = LastAction(action="Rolled", pod="web-0", time=at(-900_000))
    assert last_action(outcome(old=old), []) == old
    assert last_action(outcome(ended_roll("Failed", -60), old=old), []).action == "Failed"
