"""A drawn picture: saved, displayed, or shown by a notebook."""

from __future__ import annotations

import io
import textwrap
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from odin_graph.arguments import read_path
from odin_graph.errors import QueryError
from odin_graph.folder import writing_to

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI: Final = 120
INK: Final = "#222222"
_FONTS: Final = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Yu Gothic", "Malgun Gothic", "Arial Unicode MS",
)  # fmt: skip
_SUFFIXES: Final = (".png", ".pdf", ".svg", ".jpg", ".jpeg")


class Picture:
    """A figure: `save` writes it, `show` displays it, a notebook shows it by itself."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def save(self, path: str | Path) -> Path:
        """Write it in the format of the suffix (png, pdf, svg, jpg), whole or not at all; returns the path.

        Raises:
            QueryError: Another suffix.
            SpaceError: No space is left.
            StoreError: It cannot be written there.
        """
        target = read_path("path", path)
        if target.suffix.lower() not in _SUFFIXES:
            raise QueryError(f"A picture is saved as {', '.join(_SUFFIXES[:-1])}, not as {target.name!r}.")
        out = io.BytesIO()
        self._draw(out, target.suffix[1:].lower())
        fresh = target.with_name(f".{target.name}.part")
        with writing_to(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                fresh.write_bytes(out.getvalue())
                fresh.replace(target)
            finally:
                with suppress(OSError):
                    fresh.unlink(missing_ok=True)
        return target

    def show(self) -> None:
        """Display it: in a notebook as a picture, elsewhere in the system's viewer."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            pass
        else:
            if get_ipython() is not None:
                untyped: Any = display
                untyped(self)
                return
        from PIL import Image

        Image.open(io.BytesIO(self._repr_png_())).show()

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self._draw(out, "png")
        return out.getvalue()

    def _draw(self, target: io.BytesIO, format_: str) -> None:
        with warnings.catch_warnings():
            # A class in a script that no installed font has is drawn as boxes; the user can do nothing about it here.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self.figure.savefig(target, format=format_, dpi=DPI)


def heading(title: str, wide: float, figure: Figure | None = None) -> tuple[str, float]:
    """A title broken into lines that fit, and the inches that it takes.

    Args:
        title: Its first line is bold, further ones are not.
        wide: Inches of the figure.
        figure: Draw it at the top left of this.
    """
    first, _, more = title.partition("\n")
    bold, plain = (textwrap.fill(part, max(12, int(wide * each))) for part, each in ((first, 10.5), (more, 14)))
    lines = [0.19 * (bold.count("\n") + 1), 0.15 * (plain.count("\n") + 1) if plain else 0.0]
    if figure is not None:
        high = figure.get_figheight()
        words: dict[str, Any] = {"ha": "left", "va": "top", "color": INK, "parse_math": False, "family": fonts()}
        figure.text(0.12 / wide, 1 - 0.12 / high, bold, fontsize=10, weight="bold", **words)
        if plain:
            figure.text(0.12 / wide, 1 - (0.14 + lines[0]) / high, plain, fontsize=8, **words)
    return bold, 0.3 + sum(lines)


@cache
def fonts() -> list[str]:
    """The usual font, then those that have what it lacks, as far as they are installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FONTS if name in installed)]
