"""Files named by the SHA-256 of what they hold.

A blob is stored and removed inside a write transaction, so that the daily job
cannot remove one that is just being attached again.
"""

from __future__ import annotations

import os
from pathlib import Path

from common.database import setting


def path(digest: str) -> Path:
    return Path(setting("MEDIA_DIR"), digest[:2], digest)


def store(digest: str, content: bytes) -> None:
    target = path(digest)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def remove_except(used: set[str]) -> int:
    unused = [file for file in Path(setting("MEDIA_DIR")).glob("??/*") if file.name not in used]
    for file in unused:
        file.unlink()
    return len(unused)
