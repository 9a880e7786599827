"""Images of any kind as people see them: upright, sRGB, 8 bits, without transparency.

Pillow reads JPEG, PNG, WebP, TIFF, GIF, BMP and AVIF, and HEIC where the package pillow-heif is
installed. Of animations and files with several pages the first image is read.
"""

import contextlib
import dataclasses
import functools
import io
import threading
import warnings
from collections.abc import Iterator

from PIL import Image, ImageCms

from ssl_tf.preparation.bit_depth import PNG_DEPTH, eight_bits, shows_through

EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp",
    ".dib", ".avif", ".avifs", ".heic", ".heif",
)  # fmt: skip
# Pillow's other readers are left out: some start programs, as that of EPS does.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "AVIF", "HEIF")
_ORIENTATION = 0x0112
# EXIF 2.3, section 4.6.4: how an image has to be moved to be upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# JPEG decodes at a half, a quarter or an eighth of its sides, which saves most of the time for a
# photograph of 12 megapixels. The rest is resized from at least this many times the wanted sides.
_DRAFT = 2
# Held while Pillow's limit on pixels, of which there is one a process, is lifted.
_without_limit = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Header:
    """What is known of a file before its pixels are decoded.

    Attributes:
        format: name of the format in Pillow, such as "JPEG".
        mode: of its pixels in Pillow, such as "RGB", "P" or "I;16".
        width, height: sides in pixels, as people see the image.
        turned: EXIF asks for a turn or a reflection.
        profile: it has an ICC profile of other colours than sRGB.
        several: it has more than one image, as animations have.
        transparent: something shows through its pixels.
    """

    format: str
    mode: str
    width: int
    height: int
    turned: bool
    profile: bool
    several: bool
    transparent: bool


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that this installation reads."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        pass
    else:
        register_heif_opener()
    Image.init()
    # Notes on damaged metadata, one for each image that has some.
    warnings.filterwarnings("ignore", module="PIL")
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextlib.contextmanager
def unlimited_pixels() -> Iterator[None]:
    """Lifts Pillow's limit on pixels for a caller with a limit of its own.

    All else in the process needs Pillow's: the header of a damaged file promises any size, and
    Pillow takes the memory before it reads on.
    """
    with _without_limit:
        kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = kept


def open_image(content: bytes) -> Image.Image:
    """The image of a file, not decoded yet.

    Raises:
        Exception: of many kinds, if the file is no image; see `reason`.
    """
    image = Image.open(io.BytesIO(content), formats=formats())
    clear = image.info.get("transparency")
    if image.format == "PNG" and image.mode == "L" and isinstance(clear, int):
        # Pillow stretches 2 and 4 bits to 8, and leaves the level that is transparent as it is.
        image.info["transparency"] = clear * 255 // (2 ** content[PNG_DEPTH] - 1)
    return image


def header(image: Image.Image) -> Header:
    """What is known before `image`, from `open_image`, is used.

    A PNG is decoded by that, because what EXIF says of it may stand at its end.
    """
    width, height = image.size
    turn = _turn(image)
    # Pillow turns a TIFF itself, and gives its sides as they are then.
    if turn in (5, 6, 7, 8) and image.format != "TIFF":
        width, height = height, width
    return Header(
        format=image.format or "",
        mode=image.mode,
        width=width,
        height=height,
        turned=turn in _TURNS,
        profile=_other_profile(image.info.get("icc_profile"), image.mode) is not None,
        several=bool(getattr(image, "is_animated", False)),
        transparent=shows_through(image),
    )


def _turn(image: Image.Image) -> int:
    """How EXIF says that an image is turned; 1, not at all, where it is damaged or absent.

    `getexif` would take the word of XMP where EXIF is silent, which browsers and --orient do not.

    Raises:
        Exception: of many kinds, if a PNG is damaged, which is decoded for EXIF at its end.
    """
    if image.format == "PNG" and "exif" not in image.info:
        image.load()
    try:
        if image.format == "TIFF":
            return image.getexif().get(_ORIENTATION, 1)
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return exif.get(_ORIENTATION, 1)
    except Exception:  # of many kinds, by the format; the pixels are none the worse
        return 1


def as_seen(image: Image.Image, content: bytes, short_side: int, background: str) -> Image.Image:
    """The image as people see it, mode RGB.

    Args:
        image: from `open_image`.
        content: the file.
        short_side: of the result, in pixels; a smaller image keeps its size; 0: no limit.
        background: colour behind transparent pixels, such as "#ffffff".

    Raises:
        Exception: of many kinds, if the file is damaged; see `reason`.
    """
    wanted = _wanted_size(image.size, short_side)
    profile = image.info.get("icc_profile")
    image.draft(None, (_DRAFT * wanted[0], _DRAFT * wanted[1]))
    image.load()
    turn = _turn(image)
    image = eight_bits(image, content)
    if image.size != wanted:
        image = image.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=3.0)
    image = _to_srgb(image, profile)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    image = image.convert("RGB")
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def reason(error: Exception, path: str) -> str:
    """Why a file cannot be read, in a few words.

    Args:
        error: what `open_image` or `as_seen` raised.
        path: of the file.
    """
    if isinstance(error, Image.UnidentifiedImageError):
        if path.lower().endswith((".heic", ".heif")) and "HEIF" not in formats():
            return "HEIC needs the package pillow-heif"
        if path.lower().endswith((".avif", ".avifs")) and "AVIF" not in formats():
            return "this Pillow reads no AVIF"
        return "no image, or of an unknown format"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _wanted_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Width and height at which the short side is at most `short_side`."""
    scale = short_side / min(size) if short_side else 1.0
    if scale >= 1.0:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB, mode RGB or RGBA; a profile that does not fit it is left aside."""
    if image.mode in ("LA", "RGBA"):
        colours = _to_srgb(image.convert(image.mode.removesuffix("A")), profile)
        colours.putalpha(image.getchannel("A"))
        return colours
    if image.mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    source = _other_profile(profile, image.mode)
    if source:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            return ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
    return image.convert("RGB")


# The images of a camera have one profile, which is asked for twice of each.
@functools.lru_cache(maxsize=8)
def _other_profile(profile: bytes | None, mode: str) -> ImageCms.ImageCmsProfile | None:
    """A profile of other colours than sRGB; None for that of sRGB, one that does not fit, or none.

    Args:
        profile: of an image.
        mode: of its pixels in Pillow.
    """
    if not profile:
        return None
    kind = {"CMYK": "CMYK", "LAB": "Lab"}.get(mode, "GRAY" if mode[0] in "1LIF" else "RGB")
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        is_other = not ImageCms.getProfileDescription(found).startswith("sRGB")
        return found if is_other and found.profile.xcolor_space.strip() == kind else None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
