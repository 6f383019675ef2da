from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import images


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("memroll", "localhost/memroll:latest"),
        ("memroll:dev", "localhost/memroll:dev"),
        ("team/memroll:dev", "localhost/team/memroll:dev"),
        ("localhost/memroll:dev", "localhost/memroll:dev"),
        ("example.test:5000/memroll", "example.test:5000/memroll:latest"),
    ],
)
def test_image_names_are_completed(name: str, expected: str) -> None:
    assert images.qualify_name(name) == expected


def test_the_key_of_an_image_depends_on_all_of_its_inputs(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x")
    build = images.ImageBuild("a", dockerfile, tmp_path, {"B": "1"})
    keys = {
        build.key("base"),
        build.key("other base"),
        replace(build, arguments={"B": "2"}).key("base"),
        replace(build, name="b").key("base"),
    }
    dockerfile.write_text("FROM y")
    keys.add(build.key("base"))
    assert len(keys) == 5
