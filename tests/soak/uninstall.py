"""`helm uninstall` of a separate release during a surge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.broken_replacements import NEVER_READY_PROGRAM
from tests.soak.cases import SoakCase
from tests.soak.disturbances import STRICT_BUDGET

if TYPE_CHECKING:
    from tests.soak.roll_scenario import RollScenario


def uninstall_case(image: str) -> SoakCase:
    """Return the case; it installs an operator from `image` for its namespace."""

    def run(scenario: RollScenario, _: int) -> None:
        release = f"{scenario.namespace}-op"
        scenario.cluster.install(release, release, image, [scenario.namespace])
        try:
            scenario.deploy(1, STRICT_BUDGET)
            scenario.start_load()
            # The surge lasts as long as the uninstall: of two Ready pods the ReplicaSet may delete either.
            scenario.replace_program(NEVER_READY_PROGRAM)
            old = scenario.get_oldest_pod()["metadata"]["uid"]
            scenario.wait_until_surging(scenario.create_roll(scenario.get_oldest_pod()))
        finally:
            scenario.cluster.uninstall(release, release)
        (left,) = scenario.wait_until_settled(1)
        assert left["metadata"]["uid"] == old, "the Ready pod was deleted"

    return SoakCase("uninstalled", run, watched=False)
