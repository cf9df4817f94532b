"""Digests of publishes, to compare two under the same idempotency key."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import gevent

from eventbus.core.model import Message

#: Bytes of a digest; and bytes that are hashed before other greenlets run.
_DIGEST_BYTES, YIELD_EVERY_BYTES = 16, 1_048_576
#: How a key begins that is derived from a CloudEvent's source and id.
DERIVED_KEY = "ce:"


def compared_content(messages: Sequence[Message], idempotency_key: str | None, terms: str = "") -> str:
    """Return what another publish under the same key is compared with; empty where nothing is compared.

    ``terms`` is what the publisher has asked for that the messages do not have in its words, such as ``expires=30``.

    A CloudEvent's source and id make two events one, in whichever form they are written (CloudEvents 1.0.2, 3.1.1).
    """
    if idempotency_key is None or idempotency_key.startswith(DERIVED_KEY):
        return ""
    return content_of(messages, terms)


def content_of(messages: Sequence[Message], terms: str = "") -> str:
    """Return a digest of the topics, order keys and bodies, in order, and of the terms.

    Headers are left out: a repeated publish may well have a trace of its own.
    """
    digest = blake2b(digest_size=_DIGEST_BYTES)
    hashed = 0
    if terms:  # an older version knew none: without any the digest is as it was
        digest.update(b"terms%d:%s" % (len(terms), terms.encode("utf-8", "surrogatepass")))
    for part in _parts(messages):
        digest.update(part)
        hashed += len(part)
        if hashed > YIELD_EVERY_BYTES:
            hashed = 0
            gevent.sleep(0)
    return digest.hexdigest()


def _parts(messages: Sequence[Message]) -> Iterator[bytes]:
    for message in messages:
        topic = b"-" if message.topic is None else b"=" + message.topic.encode("utf-8", "surrogatepass")
        yield b"%d:%d:%s" % (len(topic), len(message.body), topic)
        if message.key:  # an older version knew none: of those without one the digest is as it was
            key = message.key.encode()
            yield b"key%d:%s" % (len(key), key)
        yield message.body
