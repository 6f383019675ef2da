"""Stops the cluster and leaves the machine as it was found."""

from localcluster import images, leftovers, preflight, process
from localcluster.cache import remove_tree
from localcluster.components import all_components
from localcluster.layout import Layout
from localcluster.lock import exclusive
from localcluster.report import Report

# They must be there while the others finish what they are doing.
_LAST = ("containerd", "etcd")


def down(layout: Layout, report: Report, *, purge: bool) -> None:
    preflight.require_root()
    with exclusive(layout.lock, report):
        preflight.require_own(layout)
        components = all_components(layout)
        if any(process.running(layout, name) for name in components):
            report("stopping the cluster; the API server may take half a minute")
        process.stop(layout, [c for c in components.values() if c.name not in _LAST])
        process.stop(layout, [components[name] for name in _LAST])
        leftovers.sweep(layout, report)
        if purge:
            images.forget_all(layout, report)
            remove_tree(layout.cache)
            report(f"removed {layout.cache}")
        report("the cluster is down")
