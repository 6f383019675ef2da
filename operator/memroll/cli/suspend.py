"""Command `memroll suspend`: suspend policies."""

from __future__ import annotations

from memroll.cli.suspension import suspension_command

command = suspension_command(
    "suspend",
    "Suspend policies: no pod is assessed or rolled until they are resumed; a roll in progress is completed.",
    suspended=True,
)
