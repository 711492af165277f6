"""PNG, JPEG, TIFF and their like by Pillow, in the file's own depth.

Palettes and CMYK become RGB (RGBA where a palette has transparency), since their numbers are no intensities; a camera's
orientation is applied, which moves pixels and changes none. Pillow reads colour of 16 bits a band as 8 bits without a
word: such PNG is read by torchvision, other such files are refused.
"""

from __future__ import annotations

import io
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from odin_graph.errors import UnreadableImageError

_WIDE: Final = ("I;16", "I;16B", "I;16L", "I;16N")
_AS_IT_IS: Final = ("1", "L", "LA", "RGB", "RGBA", "I", "F")


class PillowReader:
    """The formats that Pillow reads."""

    suffixes: ClassVar[frozenset[str]] = frozenset(
        {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
    )

    def read(self, data: bytes) -> NDArray[Any]:
        """Pixels (h, w, bands): bool, uint8, uint16, int32 or float32."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                return _pixels(image, data)
        except UnidentifiedImageError as error:
            raise UnreadableImageError("it is no image, or of a format that Pillow does not know") from error
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise UnreadableImageError(f"it is broken ({error})") from error


def _pixels(image: Image.Image, data: bytes) -> NDArray[Any]:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnreadableImageError(f"it holds {frames} frames: hand them in one by one as arrays")
    if image.mode in ("RGB", "RGBA", "LA") and any("16" in str(tile[3]) for tile in image.tile):
        return _wide_png(image, data)
    image = ImageOps.exif_transpose(image)
    if image.mode in _WIDE:
        pixels = np.asarray(image).astype(np.uint16)
    elif image.mode in _AS_IT_IS:
        pixels = np.asarray(image)
    else:
        transparent = image.mode == "PA" or "transparency" in image.info
        pixels = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _wide_png(image: Image.Image, data: bytes) -> NDArray[Any]:
    if image.format != "PNG":
        raise UnreadableImageError(
            f"it is {image.format} of 16 bits a band in colour, which Pillow would cut to 8: read it yourself "
            "(for example with tifffile) and hand in arrays"
        )
    import torch
    from torchvision.io import ImageReadMode, decode_png

    try:
        planes = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.UNCHANGED)
    except RuntimeError as error:
        raise UnreadableImageError(f"it is broken ({error})") from error
    pixels: NDArray[Any] = planes.permute(1, 2, 0).numpy()
    return pixels


READER: Final = PillowReader()
