from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from memroll.clients.kube.api_client import KubeApi
from tests.contract.cluster.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def server() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def kubeconfig(server: FakeApi, tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    named = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
        "users": [{"name": "fake", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    path.write_text(yaml.safe_dump(named))
    return str(path)


@pytest.fixture
async def api(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubeApi]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    connected = await KubeApi.connect(kubeconfig)
    yield connected
    await connected.close()
