"""PNG, JPEG, TIFF and their like by Pillow, in the file's own depth.

Palettes and CMYK become RGB (RGBA where a palette has transparency), since their numbers are no intensities; a camera's
orientation is applied, which moves pixels and changes none. Pillow reads colour of 16 bits a band as 8 bits without a
word: such PNG is read by `wide_png`, other such files are refused.
"""

from __future__ import annotations

import io
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.wide_png import decode_wide_png

_WIDE: Final = "I;16"
"""The start of Pillow's names for 16 bits of grey, in either byte order."""
_COLOUR: Final = ("RGB", "RGBA", "LA")
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
        except UnreadableImageError:
            raise
        except UnidentifiedImageError as error:
            raise UnreadableImageError("it is no image, or of a format that Pillow does not know") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UnreadableImageError(
                f"it would unpack to more pixels than is safe ({error}). If you trust the file, "
                "raise PIL.Image.MAX_IMAGE_PIXELS"
            ) from error
        except Exception as error:  # a broken file makes decoders raise anything: struct.error, KeyError, zlib.error
            raise UnreadableImageError(f"it is broken ({str(error) or type(error).__name__})") from error


def _pixels(image: Image.Image, data: bytes) -> NDArray[Any]:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's JPEG with previews behind the picture: the picture is meant
        raise UnreadableImageError(f"it holds {frames} frames: hand them in one by one as arrays")
    raw = _raw_mode(image)
    if image.mode in _COLOUR and "16" in raw:
        return _wide_png(image, data)
    wide = image.mode.startswith(_WIDE) or (image.mode == "I" and raw.startswith(_WIDE))
    image = ImageOps.exif_transpose(image)
    if wide:
        pixels = np.asarray(image).astype(np.uint16)
    elif image.mode in _AS_IT_IS:
        pixels = np.asarray(image)
    else:
        transparent = image.mode in ("PA", "RGBa", "La") or "transparency" in image.info
        pixels = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _raw_mode(image: Image.Image) -> str:
    """How the file itself packs a pixel: ``RGB;16B``. Empty where its decoder does not say."""
    for tile in getattr(image, "tile", ()):  # only images that come from files have tiles
        said = tile[3][0] if isinstance(tile[3], tuple) and tile[3] else tile[3]
        if isinstance(said, str):
            return said
    return ""


def _wide_png(image: Image.Image, data: bytes) -> NDArray[Any]:
    if image.format != "PNG":
        raise UnreadableImageError(
            f"it is {image.format} of 16 bits a band in colour, which Pillow would cut to 8: read it yourself "
            "(for example with tifffile) and hand in arrays"
        )
    return decode_wide_png(data)


READER: Final = PillowReader()
