"""``eventbus completion``: the script by which a shell completes this command."""

import click
from click.shell_completion import get_completion_class

from eventbus.cli.command import command
from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.screen import Screen


@command(
    "completion",
    "eventbus completion bash > ~/.local/share/bash-completion/completions/eventbus",
    'eval "$(eventbus completion zsh)"',
    "eventbus completion fish > ~/.config/fish/completions/eventbus.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the shell and its script.")
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:  # noqa: FBT001 - click names it
    """Print the completion script of a shell."""
    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise CommandFailed(f"There is no completion for {shell}.")
    script = completion_class(ctx.find_root().command, {}, "eventbus", "_EVENTBUS_COMPLETE").source()
    screen = Screen.of_this_process(as_json=as_json)
    if as_json:
        screen.value({"shell": shell, "script": script})
    else:
        screen.line(script)
