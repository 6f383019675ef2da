"""Services that are known to be Prometheus, by the labels of common charts."""

from __future__ import annotations

import pytest

from memroll.clients.kube.prometheus_services import KINDS, decode_service


def service(labels, ports=(("http", 80),), name="prom", **spec):
    listed = [{"name": port_name, "port": port, "protocol": "TCP"} for port_name, port in ports]
    return {
        "metadata": {"namespace": "monitoring", "name": name, "labels": labels},
        "spec": {"ports": listed} | spec,
    }


@pytest.mark.parametrize(
    ("labels", "ports", "path"),
    [
        (
            {"app": "kube-prometheus-stack-prometheus", "self-monitor": "true"},
            (("http-web", 9090), ("reloader-web", 8080)),
            ":9090/proxy",
        ),
        ({"operated-prometheus": "true"}, (("grpc", 10901), ("web", 9090)), ":9090/proxy"),
        (
            {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server"},
            (("http", 80),),
            ":80/proxy",
        ),
        ({"app.kubernetes.io/name": "vmsingle"}, (("http", 8429),), ":8429/proxy"),
        ({"app.kubernetes.io/name": "vmselect"}, (("http", 8481),), ":8481/proxy/select/0/prometheus"),
        (
            {"app.kubernetes.io/name": "mimir", "app.kubernetes.io/component": "query-frontend"},
            (("http-metrics", 8080), ("grpc", 9095)),
            ":8080/proxy/prometheus",
        ),
        (
            {"app.kubernetes.io/name": "thanos", "app.kubernetes.io/component": "query"},
            (("grpc", 10901), ("http", 9090)),
            ":9090/proxy",
        ),
    ],
)
def test_the_services_of_common_charts_are_known(labels, ports, path):
    found = decode_service(service(labels, ports))
    assert found is not None
    assert found.proxy_path == f"/api/v1/namespaces/monitoring/services/prom{path}"


def test_a_port_for_https_is_queried_by_https():
    found = decode_service(service({"app": "prometheus"}, (("https", 9091),)))
    assert found is not None
    assert found.proxy_path.endswith("/services/https:prom:9091/proxy")


@pytest.mark.parametrize(
    "raw",
    [
        service({"app.kubernetes.io/name": "grafana"}),
        service({"app": "prometheus"}, ()),
        service({"app": "prometheus"}, (("http", 0),)),
        service({"app": "prometheus"}, type="ExternalName"),
        {"metadata": {"labels": {"app": "prometheus"}}},
        {"metadata": "x", "spec": []},
        {},
    ],
)
def test_other_services_and_broken_ones_are_left_out(raw):
    assert decode_service(raw) is None


def test_a_server_of_one_cluster_is_preferred():
    titles = [kind.title for kind in KINDS]
    assert titles.index("Prometheus") < titles.index("VictoriaMetrics") < titles.index("Mimir") < titles.index("Thanos")
