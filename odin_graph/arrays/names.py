"""Unique names: UUIDs of version 7, which contain their time, also where a store keeps no dates."""

from __future__ import annotations

import re
import secrets
import time
import uuid

_HEX = re.compile(r"[0-9a-f]{12}7[0-9a-f]{19}")
_NO_WORD = re.compile(r"[^A-Za-z0-9_-]")


def fresh_name() -> str:
    """32 hexadecimal digits: 48 bits of milliseconds, the version, 74 random bits. They sort by time."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value).hex


def segment_uri(name: str, array: str, keys: str) -> str:
    """The uri of a segment. It also contains the digest of its keys, so that a purge finds one that no node names.

    Args:
        name: The segment's name.
        array: The array that it is a piece of; the first word of it is in the address.
        keys: The digest of its keys.
    """
    return f"segments/{name}.{_NO_WORD.sub('_', array.partition('/')[0])}.{keys}"


def segment_parts(uri: str) -> tuple[str, str] | None:
    """The first word of a segment's array and the digest of its keys; None for a uri without them."""
    parts = uri.rpartition("/")[2].split(".")
    return (parts[1], parts[2]) if uri.startswith("segments/") and len(parts) == 3 else None


def written_at(uri: str) -> float | None:
    """When the name in a uri was made, in seconds since the epoch; None if it is no such name."""
    found = _HEX.fullmatch(uri.rpartition("/")[2].partition(".")[0])
    return int(found[0][:12], 16) / 1000 if found else None
