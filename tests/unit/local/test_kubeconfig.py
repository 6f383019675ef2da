import yaml

from localcluster import kubeconfig
from localcluster.paths import ClusterPaths


def test_a_kubeconfig_contains_its_certificates_and_is_readable_by_its_owner_only(paths: ClusterPaths) -> None:
    paths.pki.mkdir(parents=True)
    for name in ("ca.crt", *(f"{c}.{end}" for c in (*kubeconfig.CLIENTS, "admin") for end in ("crt", "key"))):
        (paths.pki / name).write_text(name)
    kubeconfig.write_all(paths)
    config = yaml.safe_load(paths.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.231.0.1:6443"
    assert config["users"][0]["user"]["client-key-data"] == "YWRtaW4ua2V5"
    assert paths.kubeconfig.stat().st_mode & 0o777 == 0o600
