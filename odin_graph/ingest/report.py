"""What happened to the images of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_SHOWN: Final = 10


@dataclass
class IngestReport:
    """What happened to the images of a call."""

    added: int = 0
    already_there: int = 0
    """The same id with the same pixels."""
    revised: int = 0
    updated: int = 0
    """With ``on_conflict="update"``: images whose label or metadata were set to new values."""
    others: list[str] = field(default_factory=list)
    """With ``on_conflict="skip"``: ids that exist with other pixels. They were not changed."""
    deleted: list[str] = field(default_factory=list)
    """With ``on_conflict="skip"``: ids that were deleted before. They stay deleted."""
    differing: list[str] = field(default_factory=list)
    """Ids of existing images whose label or metadata differ from this call. They were not changed."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """The name and the reason of each image that was left out (``on_error="skip"``)."""
    stacks: list[str] = field(default_factory=list)
    """Ids of the volumes and videos that files contained. Their slices and frames are counted as images."""
    keys: list[int] = field(default_factory=list)
    """The keys of the images of the call that are stored now, in its order, those of volumes and videos last."""
    notes: list[str] = field(default_factory=list)
    """Other notes: columns that stayed text, folders that were found twice, labels that are probably mistyped."""

    def __str__(self) -> str:
        """Counts, and the first errors by name and reason."""
        parts = [f"{self.added:,} added", f"{self.already_there:,} already there"]
        for number, what in (
            (self.revised, "revised"),
            (self.updated, "updated"),
            (len(self.others), "left out, since other pixels are there"),
            (len(self.deleted), "left out, since they were deleted before"),
        ):
            parts += [f"{number:,} {what}"] if number else []
        lines = [", ".join(parts)]
        if self.errors:
            lines[0] += f", {len(self.errors):,} left out:"
            lines += [f"  {reason}" for _, reason in self.errors[:_SHOWN]]
            if len(self.errors) > _SHOWN:
                lines.append(f"  and {len(self.errors) - _SHOWN:,} more, in .errors")
        if self.differing:
            lines.append(
                f"{len(self.differing):,} are there with another label or metadata, first {self.differing[0]!r}, and "
                "were left as they are: db.labels.update(...) and db.images.update(...) change them."
            )
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__
