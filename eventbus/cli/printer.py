"""Prints events: for people, as JSON, or their bodies alone."""

from collections.abc import Callable

from eventbus.cli.safe import safe
from eventbus.cli.screen import Screen
from eventbus.cli.shown import body_lines, event_json, indented, rfc3339
from eventbus.client import Event


def printer(screen: Screen, *, raw: bool) -> Callable[[Event], None]:
    """What prints one event after another."""
    if screen.as_json:
        return lambda event: screen.value(event_json(event))
    return (lambda event: raw_body(screen, event, end=b"\n")) if raw else (lambda event: whole(screen, event))


def whole(screen: Screen, event: Event) -> None:
    """Print when it was, its topic and id, and below them the body."""
    screen.line(head(screen, event))
    for line in indented(body_lines(event)):
        screen.line(line)


def head(screen: Screen, event: Event) -> str:
    """When it was, its topic and its id."""
    at, event_id = (screen.styled(text, dim=True) for text in (rfc3339(event.at), safe(event.id)))
    return f"{at}  {screen.styled(safe(event.topic or '-'), fg='cyan', bold=True)}  {event_id}"


def raw_body(screen: Screen, event: Event, *, end: bytes) -> None:
    """Print the body as it came; a terminal gets it made safe."""
    if screen.terminal:
        screen.line("\n".join(body_lines(event)))
    else:
        screen.raw(event.body + end)
