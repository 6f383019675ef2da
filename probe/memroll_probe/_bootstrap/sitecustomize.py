"""Python runs this at its start: `python -m memroll_probe` put it first on the path. The one behind it runs, too."""

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

HERE = str(Path(__file__).parent)


def _run_the_next() -> None:
    """Run the sitecustomize that this one stands before, if there is one."""
    spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if p != HERE])
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


try:
    from memroll_probe.outside import install

    install()
except Exception as error:  # noqa: BLE001 - a Python that cannot start would be the worst that a probe can do
    sys.stderr.write(f"memroll_probe: not installed: {error!r}\n")
_run_the_next()
