from pathlib import Path

import pytest

from localcluster.cache import MANIFEST, UNFINISHED, Cache, hash_parts, is_intact

KEY = "0123456789abcdef0123"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def produce(output: Path) -> None:
    (output / "bin").mkdir()
    (output / "bin" / "tool").write_text("content")
    (output / "link").symlink_to("bin/tool")


def fail(output: Path) -> None:
    produce(output)
    raise InterruptedError


def test_an_entry_is_found_under_its_key(cache: Cache) -> None:
    made = cache.make("tool", KEY, produce)
    assert cache.find("tool", KEY) == made
    assert made.name == "tool-0123456789abcdef"
    assert (made / "link").read_text() == "content"


def test_nothing_is_found_under_another_key(cache: Cache) -> None:
    cache.make("tool", KEY, produce)
    assert cache.find("tool", "f" * 20) is None


def test_a_failed_build_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(InterruptedError):
        cache.make("tool", KEY, fail)
    assert list(cache.root.iterdir()) == []


def test_an_unfinished_folder_is_no_entry_and_is_removed(cache: Cache) -> None:
    left = cache.root / f"{UNFINISHED}tool-abc"
    left.mkdir(parents=True)
    produce(left)
    assert cache.find("tool", KEY) is None
    assert cache.remove_unfinished() == [left]
    assert list(cache.root.iterdir()) == []


def change(entry: Path) -> None:
    (entry / "bin" / "tool").write_text("CONTENT")


def truncate(entry: Path) -> None:
    (entry / "bin" / "tool").write_text("")


def remove(entry: Path) -> None:
    (entry / "bin" / "tool").unlink()


def add(entry: Path) -> None:
    (entry / "stray").write_text("")


def lose_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()


@pytest.mark.parametrize("damage", [change, truncate, remove, add, lose_manifest])
def test_a_damaged_entry_is_removed_and_can_be_made_again(cache: Cache, damage: object) -> None:
    entry = cache.make("tool", KEY, produce)
    assert callable(damage)
    damage(entry)
    assert cache.find("tool", KEY) is None
    assert not entry.exists()
    assert is_intact(cache.make("tool", KEY, produce))


def test_the_three_most_recently_used_entries_of_a_name_are_kept(cache: Cache) -> None:
    other = cache.make("tool-image", KEY, produce)
    for digit in "abcd":
        made = cache.make("tool", digit * 20, produce)
        made.touch()
    names = {path.name for path in cache.root.iterdir()}
    assert names == {other.name, *(f"tool-{digit * 16}" for digit in "bcd")}


def test_the_hash_of_strings_depends_on_where_each_ends() -> None:
    assert hash_parts(["ab", "c"]) != hash_parts(["a", "bc"])
