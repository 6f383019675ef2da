"""Installs the probe at the start of Python. `python -m memroll_probe` puts this folder first on Python's path.

Afterwards runs the sitecustomize that this one shadows, if there is one.
"""

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

FOLDER = str(Path(__file__).parent)


def _run_shadowed_sitecustomize() -> None:
    spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if p != FOLDER])
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


try:
    from memroll_probe.auto_instrument import install

    install()
except Exception as error:  # noqa: BLE001 - a Python that cannot start would be the worst that a probe can do
    sys.stderr.write(f"memroll_probe: not installed: {error!r}\n")
_run_shadowed_sitecustomize()
