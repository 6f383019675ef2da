import hashlib
from dataclasses import replace
from ipaddress import ip_network

from localcluster.paths import ClusterPaths


def test_cluster_marks_are_short_and_stable(paths: ClusterPaths) -> None:
    assert paths.cluster_id == hashlib.sha256(str(paths.state).encode()).hexdigest()[:12]


def test_clusters_of_different_folders_have_different_marks(paths: ClusterPaths) -> None:
    assert paths.cluster_id != replace(paths, state=paths.state / "other").cluster_id


def test_pod_and_service_networks_do_not_overlap(paths: ClusterPaths) -> None:
    assert not ip_network(paths.network.pods).overlaps(ip_network(paths.network.services))
