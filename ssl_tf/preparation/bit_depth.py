"""Samples of any depth as 8 bits, with their opacity: integers or numbers of 1 to 32 bits."""

import io
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

# Depth and colour type in the header of a PNG.
_PNG, PNG_DEPTH, _PNG_COLOUR = b"\x89PNG", 24, 25
# Pillow's names for how 16 bits a sample stand in a TIFF: the lower byte first, the upper one, or
# as this machine has them -> with the bytes of a sample exchanged.
_EXCHANGED = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in {"L": "B", "B": "L", "N": "LB"[sys.byteorder == "little"]}.items()
}
_TWELVE_BITS, _SIXTEEN_BITS = 2**12 - 1, 2**16 - 1
# The format of samples of a TIFF that are integers without a sign.
_UNSIGNED = (1,)


def eight_bits(image: Image.Image, content: bytes) -> Image.Image:
    """The image with 8 bits a sample, in the mode L, LA, RGB, RGBA, CMYK or LAB.

    Args:
        image: decoded.
        content: the file.

    Raises:
        Exception: of many kinds, if the file is damaged.
    """
    deep = _deep_reader(image, content)
    if deep and _brightest(image) <= _TWELVE_BITS >> 8:
        return _scaled_colours(deep(image, content))
    if image.mode == "F" or _has_long_integers(image):
        return Image.fromarray(_as_positive(_scaled_range(_numbers(image)), image))
    if image.mode.startswith("I"):
        grey = Image.fromarray(_as_positive(_scaled_integers(np.asarray(image)), image))
        if _has_opacity(image):
            grey.putalpha(Image.fromarray(np.where(_is_clear(image), 0, 255).astype(np.uint8)))
        return grey
    if _has_opacity(image):
        # A profile of greys is one of images without colours.
        return image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")


def shows_through(image: Image.Image) -> bool:
    """Whether any pixel of an image is not opaque. Most screenshots have opacity, but none such."""
    if not _has_opacity(image):
        return False
    if image.mode.startswith("I"):
        return bool(_is_clear(image).any())
    image = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    return image.getchannel("A").getextrema()[0] < 255


def _has_opacity(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info


def _is_clear(image: Image.Image) -> np.ndarray:
    """The pixels of the one level of 16 bits that is transparent: bool [H, W]."""
    return np.asarray(image) == image.info["transparency"]


def _as_positive(levels: np.ndarray, image: Image.Image) -> np.ndarray:
    """Levels where 0 is black; Pillow turns those where it is white at up to 8 bits alone."""
    white_is_zero = image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0
    return 255 - levels if white_is_zero else levels


def _has_long_integers(image: Image.Image) -> bool:
    """Whether samples are integers of 32 bits. The mode I has those of 16 bits with a sign, too."""
    return image.mode == "I" and image.format == "TIFF" and image.tag_v2[BITSPERSAMPLE] == (32,)


def _numbers(image: Image.Image) -> np.ndarray:
    """The samples of 32 bits of an image of one channel: float64 [H, W]."""
    values = np.asarray(image)
    # Pillow has no integers without a sign, and keeps their bits.
    if image.mode == "I" and image.tag_v2.get(SAMPLEFORMAT, _UNSIGNED) == _UNSIGNED:
        values = values.view(np.uint32)
    return values.astype(np.float64)


def _deep_reader(
    image: Image.Image, content: bytes
) -> Callable[[Image.Image, bytes], np.ndarray] | None:
    """What reads all bits of a PNG or TIFF of 16 bits and several channels: Pillow reads 8.

    None where Pillow reads all bits itself.
    """
    if content.startswith(_PNG):
        is_deep = len(content) > _PNG_COLOUR and content[PNG_DEPTH] == 16
        return _deep_png if is_deep and content[_PNG_COLOUR] != 0 else None
    if image.format == "TIFF":
        raw = {tile[3][0] for tile in _opened_tiff(content).tile}
        return _deep_tiff if raw and raw <= _EXCHANGED.keys() else None
    return None


def _brightest(image: Image.Image) -> int:
    """The largest sample of an image of several channels, opacity left aside."""
    ranges = zip(image.getbands(), image.getextrema())
    return max(high for band, (_, high) in ranges if band != "A")


def _deep_png(image: Image.Image, content: bytes) -> np.ndarray:
    """The samples of a PNG of 16 bits: uint16 [H, W, 3], or [H, W, 4] with opacity."""
    import tensorflow as tf

    channels = 4 if content[_PNG_COLOUR] & 4 else 3
    return tf.io.decode_png(content, channels=channels, dtype=tf.uint16).numpy()


def _deep_tiff(image: Image.Image, content: bytes) -> np.ndarray:
    """The same of a TIFF, of which Pillow gave `image`, the upper bytes.

    Told that the bytes of a sample stand in the other order, it gives the lower ones.
    """
    lower = _opened_tiff(content)
    lower.tile = [(*tile[:3], (_EXCHANGED[tile[3][0]], *tile[3][1:])) for tile in lower.tile]
    lower.load()
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(lower)


def _opened_tiff(content: bytes) -> Image.Image:
    """The image of a TIFF, not decoded yet."""
    return Image.open(io.BytesIO(content), formats=("TIFF",))


def _scaled_colours(deep: np.ndarray) -> Image.Image:
    """An image of samples of 16 bits, of which the colours use the lower 12 alone.

    Opacity is scaled by itself: some writers fill all 16 bits with it, others 12 as well.

    Args:
        deep: uint16 [H, W, 3], or [H, W, 4] with opacity.
    """
    parts = (deep[..., :3], *([deep[..., 3:]] if deep.shape[-1] == 4 else ()))
    return Image.fromarray(np.concatenate([_scaled_integers(part) for part in parts], axis=-1))


def _scaled_integers(values: np.ndarray) -> np.ndarray:
    """Grey levels of more than 8 bits, as uint8.

    Values of up to 12 bits are what cameras and scanners write into 16: their largest is 4095.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _SIXTEEN_BITS:
        return _scaled_range(values.astype(np.float64))
    top = _TWELVE_BITS if high <= _TWELVE_BITS else _SIXTEEN_BITS
    return ((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)


def _scaled_range(values: np.ndarray) -> np.ndarray:
    """Grey levels whose range the depth does not tell, as uint8; 0 to 1 and 0 to 255 are kept.

    The range is that of the finite values. What is no number is black.

    Args:
        values: float64 [H, W].
    """
    finite = values[np.isfinite(values)]
    low, high = finite.min(initial=np.inf), finite.max(initial=-np.inf)
    if low >= 0 and high <= 255:
        low, high = 0, 1 if high <= 1 else 255
    levels = (values - low) * (255 / max(high - low, 1e-30))
    return np.round(np.nan_to_num(levels, nan=0).clip(0, 255)).astype(np.uint8)
