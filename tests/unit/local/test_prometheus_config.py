import json
from typing import Any

from localcluster import prometheus_config
from localcluster.paths import ClusterPaths


def test_prometheus_scrapes_container_memory_every_five_seconds_with_its_own_timestamps(paths: ClusterPaths) -> None:
    config: Any = prometheus_config.render(paths)
    cadvisor, pods = config["scrape_configs"]
    assert config["global"]["scrape_interval"] == "5s"
    assert cadvisor["honor_timestamps"] is False
    assert cadvisor["metrics_path"] == "/metrics/cadvisor"
    assert cadvisor["static_configs"] == [{"targets": ["10.231.0.1:10250"], "labels": {"node": "memroll-local"}}]
    assert pods["honor_labels"] is True, "the namespace of a policy is not that of the operator"
    assert pods["file_sd_configs"] == [{"files": [str(paths.scrape_targets)]}]


def test_the_first_start_writes_an_empty_list_of_targets_and_a_later_one_keeps_it(paths: ClusterPaths) -> None:
    prometheus_config.write(paths)
    assert json.loads(paths.scrape_targets.read_text()) == []
    paths.scrape_targets.write_text('["kept"]')
    prometheus_config.write(paths)
    assert json.loads(paths.scrape_targets.read_text()) == ["kept"]
