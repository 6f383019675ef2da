"""Read a YAML file that a person gave. Called for the policy of a backtest, connections, settings and kubeconfigs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 2**20
"""Maximum size of a file, in bytes: that of an object in Kubernetes; YAML of this size takes a second or two."""


class YamlFileError(ValueError):
    """File that can't be read; the message has the path and no content of the file, which may be a secret."""


def read_documents(path: Path, max_bytes: int = MAX_BYTES) -> list[Any]:
    """Return the documents of a file that are not empty; raise YamlFileError for a file that can't be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # the latter: a NUL in the path
        raise YamlFileError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if len(raw) > max_bytes:
        raise YamlFileError(f"{path}: larger than {max_bytes // 2**20} MiB: is it the right file?")
    try:
        return [d for d in yaml.safe_load_all(raw.decode("utf-8-sig")) if d is not None]
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise YamlFileError(f"{path}: not valid YAML{line}") from None  # the exception quotes the line
    except (yaml.YAMLError, ValueError):
        raise YamlFileError(f"{path}: not valid YAML in UTF-8") from None
    except RecursionError:
        raise YamlFileError(f"{path}: nested too deeply") from None


def read_document(path: Path, max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401 - YAML can have any content
    """Return the only document of a file, None for an empty file; raise YamlFileError for any other file."""
    documents = read_documents(path, max_bytes)
    if len(documents) > 1:
        raise YamlFileError(f"{path}: {len(documents)} documents, must be one")
    return documents[0] if documents else None
