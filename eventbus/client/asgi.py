"""Serve an inbox under any ASGI server: by itself, or in front of an application such as FastAPI's or Starlette's.

https://asgi.readthedocs.io/en/latest/specs/main.html
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from eventbus.client.dispatch import TOO_LARGE, WRONG_PATH, InboxResponse
from eventbus.client.inbox import MAX_BODY_BYTES, Inbox

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class InboxApp:
    """Takes events at ``path``, below where it is mounted. Everything else goes to ``app``, if there is one.

    It starts the inbox when the server has started, and closes it when the server stops, unless ``start`` is
    False. Async handlers run in the server's loop, the rest in threads.
    """

    def __init__(self, app: App | None = None, *, inbox: Inbox, path: str = "/event", start: bool = True) -> None:
        self._app = app
        self._inbox = inbox
        self._path = path
        self._start = start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await (self._app or _lifespan)(scope, receive, self._with_inbox(send) if self._start else send)
        elif scope["type"] == "http" and self._is_here(scope):
            await _send(send, await self._answer(scope, receive))
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _send(send, WRONG_PATH)

    def _is_here(self, scope: Scope) -> bool:
        """Return whether the path is the inbox's: servers leave ``root_path`` in it, or remove it."""
        path: str = scope["path"]
        return path == self._path or path == scope.get("root_path", "") + self._path

    async def _answer(self, scope: Scope, receive: Receive) -> InboxResponse:
        body = await _body(receive)
        if body is None:
            return TOO_LARGE
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        return await self._inbox.dispatch_async(scope["method"], headers, body)

    def _with_inbox(self, send: Send) -> Send:
        """Return a ``send`` that starts and closes the inbox with the application."""

        async def sent(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._inbox.start()
            elif message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self._inbox.close)
            await send(message)

        return sent


async def _body(receive: Receive) -> bytes | None:
    """Return the request's body; None where it is too large, or the client has disconnected."""
    parts, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES or message["type"] == "http.disconnect":
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _send(send: Send, answer: InboxResponse) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _lifespan(_: Scope, receive: Receive, send: Send) -> None:
    """Answer the lifespan of an application that has nothing to start."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
