"""Command `memroll resume`: resume suspended policies."""

from __future__ import annotations

from memroll.cli.suspension import suspension_command

command = suspension_command(
    "resume", "Resume suspended policies; the operator reconciles them at once.", suspended=False
)
