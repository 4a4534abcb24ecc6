"""The version of this release, read once, when the service starts."""

from pathlib import Path

VERSION = (Path(__file__).parent.parent / "VERSION").read_text(encoding="ascii").strip()
