"""Bodies inside JSON: as text if they are UTF-8, else as Base64."""

import base64
import json
from collections.abc import Callable

#: Characters of a body that are made JSON in one step, which takes less than a millisecond.
STEP_CHARACTERS = 32_768


def body_payload(body: bytes) -> dict[str, str]:
    """Return ``{"text": ...}`` for UTF-8, ``{"base64": ...}`` for anything else."""
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def body_json(body: bytes, give_way: Callable[[], None]) -> bytes:
    """Return what ``body_payload`` returns as text, without spaces; call ``give_way`` between steps of a large one."""
    (kind, text), *_ = body_payload(body).items()
    steps = [b'{"%s":"' % kind.encode()]
    for start in range(0, len(text), STEP_CHARACTERS):
        if start:
            give_way()
        steps.append(json.dumps(text[start : start + STEP_CHARACTERS])[1:-1].encode())
    return b"".join((*steps, b'"}'))
