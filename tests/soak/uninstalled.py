"""`helm uninstall` in the middle of a surge, by a release of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.disturbed import mid_surge
from tests.soak.outcome import Case

if TYPE_CHECKING:
    from tests.soak.stage import Stage

NAME = "uninstalled"


def uninstalled(image: str) -> Case:
    """Return the case; it installs an operator from `image` beside the namespace that it works in."""

    def act(stage: Stage, _: int) -> None:
        release = f"{stage.namespace}-op"
        stage.site.install(release, release, image, [stage.namespace])
        try:
            mid_surge(stage, 1)
            old = stage.oldest()["metadata"]["uid"]
        finally:
            stage.site.uninstall(release, release)
        (left,) = stage.settled(1)
        assert left["metadata"]["uid"] == old, "the working pod was given up"

    return Case(NAME, act)
