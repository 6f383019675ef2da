"""Stops the cluster and removes everything that it put on the machine."""

from localcluster import cleanup, images, preflight, supervisor
from localcluster.cache import remove_tree
from localcluster.components import all_components, optional_components
from localcluster.lock import exclusive
from localcluster.paths import ClusterPaths
from localcluster.progress import Reporter

# The others need these two to shut down.
_STOPPED_LAST = ("containerd", "etcd")


def down(paths: ClusterPaths, report: Reporter, *, purge: bool) -> None:
    preflight.require_root()
    with exclusive(paths.lock, report):
        preflight.require_ownership(paths)
        components = all_components(paths)
        if any(supervisor.find_running(paths, name) for name in components):
            report("stopping the cluster; the API server may take half a minute")
        stopped_first = [c for c in components.values() if c.name not in _STOPPED_LAST]
        supervisor.stop(paths, [*optional_components(paths).values(), *stopped_first])
        supervisor.stop(paths, [components[name] for name in _STOPPED_LAST])
        cleanup.clean_up(paths, report)
        if purge:
            images.remove_all(paths, report)
            remove_tree(paths.cache)
            report(f"removed {paths.cache}")
        report("the cluster is down")
