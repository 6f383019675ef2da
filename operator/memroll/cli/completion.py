"""Command `memroll completion`: print the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from memroll.cli import COMPLETION_VARIABLE
from memroll.cli.command import command as define

SHELLS = ("bash", "zsh", "fish")
KUBECTL_SCRIPT = """#!/bin/sh
# Completes `kubectl memroll`. Save it as kubectl_complete-memroll in a folder of PATH, executable.
exec memroll __complete "$@"
"""


@define(
    "completion",
    examples=[
        "completion bash > ~/.local/share/bash-completion/completions/memroll",
        "completion zsh > ~/.zfunc/_memroll",
        "completion fish > ~/.config/fish/completions/memroll.fish",
        "completion kubectl > ~/.local/bin/kubectl_complete-memroll && chmod +x $_",
    ],
)
@click.argument("shell", type=click.Choice((*SHELLS, "kubectl")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell, or of the plugin of kubectl."""
    if shell == "kubectl":
        click.echo(KUBECTL_SCRIPT, nl=False)
        return
    completion = get_completion_class(shell)
    assert completion is not None, "click has these shells"
    found = completion(ctx.find_root().command, {}, "memroll", COMPLETION_VARIABLE)
    click.echo(found.source_template % found.source_vars())  # `source` would run the shell to check its version
