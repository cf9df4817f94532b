"""Bodies inside JSON: as text if they are UTF-8, else as Base64."""

import base64


def body_payload(body: bytes) -> dict[str, str]:
    """Return ``{"text": ...}`` for UTF-8, ``{"base64": ...}`` for anything else."""
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}
