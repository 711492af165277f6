"""A copy of a workspace that was made while somebody wrote: its files may be of different moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from odin_graph.graph.claim import CHECKING, RefusedError

_ERRORS: Final = ("totalErrors", "totalCorruptedRecords", "invalidLinks", "unreachableEdgeRecords")
_KEYS: Final = (
    "MATCH (i:Image) WITH max(i.key) AS last MATCH (c:Counter {id: 'image'}) WHERE c.next <= last RETURN c.next AS next"
)
"""A number that an image has would be given again."""


def check_copy(folder: Path, database: Any) -> None:
    """Read all of the graph once, and refuse it where it does not hold together.

    The engine has replayed its log of writes before, which makes whole what was not written yet when it was copied.

    Args:
        folder: The engine's.
        database: ArcadeDB's own object.

    Raises:
        RefusedError: Files are of different moments.
    """
    print(CHECKING, flush=True)
    try:
        report = database.command("sql", "check database").next()
        wrong = {name: int(report.getProperty(name) or 0) for name in _ERRORS}
        wrong["corruptedIndexes"] = len(report.getProperty("corruptedIndexes") or ())
        wrong["keys given twice"] = sum(1 for _ in _rows(database.query("opencypher", _KEYS)))
    except Exception as error:  # noqa: BLE001 - of Java, whatever it was that could not be read
        wrong = {str(error): 1}
    if any(wrong.values()):
        listed = ", ".join(f"{name}: {number}" for name, number in wrong.items() if number)
        raise RefusedError(
            f"{folder.parent} was copied while somebody wrote to it: its files are of different moments ({listed}). "
            "It is not opened, so that nothing is built on it. Close the original in every process, wait five seconds, "
            "and copy it again."
        )


def _rows(answer: Any) -> Any:
    while answer.hasNext():
        yield answer.next()
