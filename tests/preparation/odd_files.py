"""Odd image files, made on the spot: what people see in them, or why nobody sees anything."""

import io
import struct
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image, ImageCms

from tests.data.tiny_images import picture, png

HEIGHT, WIDTH = 24, 32
RED = np.array([200, 40, 10])
# Background of transparent pixels in these tests, as RRGGBB.
BACKGROUND, BEHIND = "0a64c8", np.array([10, 100, 200])


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    # A copy, because writers leave their settings in an image.
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def several(kind: str, **options) -> bytes:
    """A file of two images, dark and bright."""
    dark, bright = (Image.new("RGB", (WIDTH, HEIGHT), (level,) * 3) for level in (10, 200))
    return saved(dark, kind, save_all=True, append_images=[bright], **options)


def exif(orientation: int, order: str = ">") -> bytes:
    """EXIF with an orientation alone, in a byte order."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def smooth() -> np.ndarray:
    """Three ramps, which lossy formats keep within a few grey levels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([y * 8, x * 7, 255 - x * 4 - y * 3], -1).astype(np.uint8)


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF 2.3, section 4.6.4: where row 0 and column 0 are seen."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


def over(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A colour of some opacity (0 to 255, one a pixel) over the background."""
    share = alpha[..., None] / 255
    return np.round(colour * share + BEHIND * (1 - share))


def swapped_profile() -> bytes:
    """The profile of a screen whose red and blue lights are swapped."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    assert profile.count(b"rXYZ") == profile.count(b"bXYZ") == 1
    profile = profile.replace(b"rXYZ", b"#XYZ").replace(b"bXYZ", b"rXYZ")
    return profile.replace(b"#XYZ", b"bXYZ")


def linear_grey_profile() -> bytes:
    """A profile of greys whose level is their light (ICC.1, section 7, of version 2)."""
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, 256, 0)
    name = b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78)
    d50 = struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1, 0.8249)))
    tags = {b"desc": name, b"wtpt": b"XYZ " + bytes(4) + d50, b"kTRC": curve}
    table, place = struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", place, len(content))
        place += len(content)
    head = struct.pack(">I4xI12s", place, 0x02100000, b"mntrGRAYXYZ ") + bytes(12) + b"acsp"
    return (head + bytes(28) + d50).ljust(128, b"\0") + table + b"".join(tags.values())


def srgb_of_light(levels: np.ndarray) -> np.ndarray:
    """Levels of sRGB (IEC 61966-2-1) of light from 0 to 255."""
    light = levels / 255
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def four_bit_png(levels: np.ndarray, clear: int) -> bytes:
    """A grey PNG of 4 bits, of which one level is transparent: [H, W] of 0 to 15."""
    height, width = levels.shape
    rows = b"".join(b"\0" + bytes(row[::2] << 4 | row[1::2]) for row in levels.astype(np.uint8))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">II5B", width, height, 4, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", clear)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    return content


def deep_png(values: np.ndarray) -> bytes:
    return tf.io.encode_png(values).numpy()


def deep_tiff(values: np.ndarray, order: str = "<", compression: int = 1) -> bytes:
    """A TIFF of 16 bits a sample, RGB or RGBA: not compressed (1), or deflated (8)."""
    height, width, samples = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    pixels = zlib.compress(pixels) if compression == 8 else pixels
    pixels += bytes(len(pixels) % 2)
    depths = struct.pack(f"{order}{samples}H", *[16] * samples)
    tags = {
        256: width, 257: height, 258: 8 + len(pixels), 259: compression, 262: 2, 273: 8,
        277: samples, 278: height, 279: len(pixels), 284: 1, **({338: 2} if samples == 4 else {}),
    }  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 3, samples, value)
        if tag == 258
        else struct.pack(f"{order}HHII", tag, 4, 1, value)
        for tag, value in tags.items()
    )
    head = struct.pack(
        f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(pixels + depths)
    )
    return head + pixels + depths + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


def grey_tiff(values: np.ndarray, black: int = 0) -> bytes:
    """A TIFF of one channel, of integers with or without a sign or of floats: [H, W].

    Black is where the values are smallest, or (1) where they are largest.
    """
    (height, width), pixels = values.shape, values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags = {
        256: width, 257: height, 258: 8 * values.itemsize, 259: 1, 262: 1 - black, 273: 8, 277: 1,
        278: height, 279: len(pixels), 339: {"u": 1, "i": 2, "f": 3}[values.dtype.kind],
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def grey(levels: np.ndarray) -> np.ndarray:
    """Grey levels as a colour image."""
    return np.repeat(np.round(levels)[..., None], 3, -1)


PIXELS = picture(0, HEIGHT, WIDTH)
COLOR = Image.fromarray(PIXELS)
GREY = COLOR.convert("L")
GREYS = grey(np.asarray(GREY))
SMOOTH = Image.fromarray(smooth())
ALPHA = np.where(np.arange(WIDTH) > 16, 255, 0).astype(np.uint8)[None].repeat(HEIGHT, 0)
HALF = np.full([HEIGHT, WIDTH], 128, np.uint8)
PLAIN = Image.new("RGB", (WIDTH, HEIGHT), tuple(RED.tolist()))
DEEP = np.random.default_rng(1).integers(0, 2**16, [HEIGHT, WIDTH, 3]).astype(np.uint16)
DEEP[0, 0] = 2**16 - 1
FIRST = np.full([HEIGHT, WIDTH, 3], 10)
JPEG = saved(SMOOTH, "jpeg", quality=95)
PALETTE = COLOR.quantize(16)
PALETTES = np.asarray(PALETTE.convert("RGB"))
PALETTE_2 = COLOR.quantize(4)
COUNTED = np.arange(HEIGHT * WIDTH, dtype=np.int32).reshape(HEIGHT, WIDTH)
FLOATS = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)


def with_alpha(image: Image.Image, alpha: np.ndarray) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.fromarray(alpha))
    return image


def masked(image: np.ndarray) -> np.ndarray:
    """The image where `ALPHA` shows it, the background elsewhere."""
    return np.where(ALPHA[..., None] > 0, image, BEHIND)


def key_colour(image: Image.Image, key: object) -> bytes:
    return saved(image, "png", transparency=key)


GIF_TRANSPARENT = Image.fromarray((ALPHA > 0).astype(np.uint8), "P")
GIF_TRANSPARENT.putpalette([0, 0, 0, *RED.tolist()])
TWELVE = (DEEP >> 4)[..., 0]
TWELVE_SEEN = grey(TWELVE * (255 / 4095))
# Lab of 8 bits is coarse for vivid colours.
PALE = Image.fromarray(smooth() // 4 + 96)
LAB = ImageCms.profileToProfile(
    PALE, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
)

# Name -> (file, what people see: [H, W, 3], largest difference of a sample).
SEEN = {
    "jpeg": (JPEG, decoded(JPEG), 0),
    "jpeg, progressive": (saved(SMOOTH, "jpeg", progressive=True), smooth(), 12),
    "jpeg, grey": (saved(GREY, "jpeg", quality=100), GREYS, 3),
    "jpeg, cmyk": (saved(SMOOTH.convert("CMYK"), "jpeg", quality=100), smooth(), 12),
    "jpeg, no turn": (saved(SMOOTH, "jpeg", quality=95, exif=exif(1)), decoded(JPEG), 0),
    "jpeg, turn 0": (saved(SMOOTH, "jpeg", quality=95, exif=exif(0)), decoded(JPEG), 0),
    "jpeg, turn 9": (saved(SMOOTH, "jpeg", quality=95, exif=exif(9)), decoded(JPEG), 0),
    **{
        f"jpeg, turn {n}": (
            saved(SMOOTH, "jpeg", quality=95, exif=exif(n)),
            turned(decoded(JPEG), n),
            0,
        )
        for n in range(2, 9)
    },
    "jpeg, turn 6, little-endian": (
        saved(SMOOTH, "jpeg", quality=95, exif=exif(6, "<")),
        turned(decoded(JPEG), 6),
        0,
    ),
    "jpeg, damaged exif": (
        saved(SMOOTH, "jpeg", quality=95, exif=exif(6)[:18]),
        decoded(JPEG),
        0,
    ),
    "jpeg, profile": (
        saved(PLAIN, "jpeg", quality=100, icc_profile=swapped_profile()),
        np.broadcast_to(RED[::-1], [HEIGHT, WIDTH, 3]),
        4,
    ),
    "jpeg, profile of another kind": (
        saved(GREY, "jpeg", quality=100, icc_profile=swapped_profile()),
        GREYS,
        3,
    ),
    "jpeg, damaged profile": (saved(SMOOTH, "jpeg", quality=95, icc_profile=b"x" * 200),
                              decoded(JPEG), 0),
    "mpo": (several("mpo"), FIRST, 1),
    "png": (saved(COLOR, "png"), PIXELS, 0),
    "png, grey": (saved(GREY, "png"), GREYS, 0),
    "png, palette": (saved(PALETTE, "png"), PALETTES, 0),
    "png, palette of 2 bits": (
        saved(PALETTE_2, "png", bits=2), np.asarray(PALETTE_2.convert("RGB")), 0),
    "png, 1 bit": (saved(GREY.convert("1"), "png"), np.asarray(GREY.convert("1").convert("RGB")),
                   0),
    "png, alpha": (saved(with_alpha(COLOR, ALPHA), "png"), masked(PIXELS), 0),
    "png, half alpha": (saved(with_alpha(PLAIN, HALF), "png"), over(RED, HALF), 1),
    "png, grey alpha": (saved(with_alpha(GREY, ALPHA), "png"), masked(GREYS), 0),
    "png, palette with alpha": (
        saved(GIF_TRANSPARENT, "png", transparency=b"\0\xff"),
        masked(np.broadcast_to(RED, [HEIGHT, WIDTH, 3])), 0),
    "png, palette with half alpha": (
        saved(GIF_TRANSPARENT, "png", transparency=b"\0\x80"),
        over(RED, np.where(ALPHA > 0, 128, 0)), 1),
    "png, key colour": (
        key_colour(PLAIN, tuple(RED.tolist())), np.broadcast_to(BEHIND, [HEIGHT, WIDTH, 3]), 0),
    "png, key grey": (
        key_colour(Image.new("L", (WIDTH, HEIGHT), 7), 7),
        np.broadcast_to(BEHIND, [HEIGHT, WIDTH, 3]), 0),
    "png, key grey of 4 bits": (
        four_bit_png(np.where(ALPHA > 0, 9, 8), 8),
        masked(np.full([HEIGHT, WIDTH, 3], 9 * 17)), 0),
    "png, key grey of 16 bits": (
        key_colour(Image.fromarray(np.where(ALPHA > 0, 40_000, 9000).astype(np.uint16)), 9000),
        masked(np.full([HEIGHT, WIDTH, 3], 156)), 0),
    "png, profile of greys": (
        saved(GREY, "png", icc_profile=linear_grey_profile()), srgb_of_light(GREYS), 2),
    "png, profile of greys and alpha": (
        saved(with_alpha(GREY, ALPHA), "png", icc_profile=linear_grey_profile()),
        masked(srgb_of_light(GREYS)), 2),
    "png, 16 bits": (saved(Image.fromarray(DEEP[..., 0]), "png"), grey(DEEP[..., 0] / 257), 0),
    "png, 12 bits": (saved(Image.fromarray(TWELVE), "png"), TWELVE_SEEN, 0),
    "png, black 16 bits": (saved(Image.new("I;16", (WIDTH, HEIGHT)), "png"),
                           np.zeros([HEIGHT, WIDTH, 3]), 0),
    "png, 16 bits of colour": (deep_png(DEEP), DEEP >> 8, 0),
    "png, 8 of 16 bits of colour": (deep_png(DEEP >> 8), np.round((DEEP >> 8) * (255 / 4095)), 0),
    "png, 12 bits of colour": (deep_png(DEEP >> 4), np.round((DEEP >> 4) * (255 / 4095)), 0),
    "png, 12 bits with 12 of alpha": (
        deep_png(np.dstack([DEEP >> 4, np.full_like(TWELVE, 4095)])),
        np.round((DEEP >> 4) * (255 / 4095)), 0),
    "png, 12 bits with opaque alpha": (
        deep_png(np.dstack([DEEP >> 4, np.full_like(TWELVE, 65535)])),
        np.round((DEEP >> 4) * (255 / 4095)), 0),
    "png, 12 bits with half alpha": (
        deep_png(np.dstack([DEEP >> 4, HALF.astype(np.uint16) * 257])),
        over(np.round((DEEP >> 4) * (255 / 4095)), HALF), 1),
    "png, 12 bits of grey with opaque alpha": (
        deep_png(np.dstack([TWELVE, np.full_like(TWELVE, 65535)])), TWELVE_SEEN, 0),
    "png, 16 bits with alpha": (
        deep_png(np.dstack([DEEP, ALPHA.astype(np.uint16) * 257])), masked(DEEP >> 8), 0),
    "png, black 16 bits with alpha": (
        deep_png(np.dstack([DEEP * 0, ALPHA.astype(np.uint16) * 257])), masked(DEEP * 0), 0),
    "png, black 16 bits of colour": (deep_png(DEEP * 0), DEEP * 0, 0),
    **{
        f"{kind}, damaged exif": (saved(COLOR, kind, exif=b"garbage", **how), PIXELS, 0)
        for kind, how in (("png", {}), ("webp", {"lossless": True}))
    },
    "png, turn 6": (saved(COLOR, "png", exif=exif(6)), turned(PIXELS, 6), 0),
    "png, profile": (saved(PLAIN, "png", icc_profile=swapped_profile()),
                     np.broadcast_to(RED[::-1], [HEIGHT, WIDTH, 3]), 2),
    "png, profile and alpha": (
        saved(with_alpha(PLAIN, ALPHA), "png", icc_profile=swapped_profile()),
        masked(np.broadcast_to(RED[::-1], [HEIGHT, WIDTH, 3])), 2),
    "apng": (several("png"), FIRST, 0),
    "webp": (saved(COLOR, "webp", lossless=True), PIXELS, 0),
    "webp, lossy": (saved(SMOOTH, "webp", quality=95), smooth(), 12),
    "webp, alpha": (saved(with_alpha(COLOR, ALPHA), "webp", lossless=True, exact=True),
                    masked(PIXELS), 0),
    "webp, animation": (several("webp", lossless=True), FIRST, 0),
    "webp, turn 3": (saved(COLOR, "webp", lossless=True, exif=exif(3)), turned(PIXELS, 3), 0),
    "tiff": (saved(COLOR, "tiff"), PIXELS, 0),
    "tiff, lzw": (saved(COLOR, "tiff", compression="tiff_lzw"), PIXELS, 0),
    "tiff, deflate": (saved(COLOR, "tiff", compression="tiff_deflate"), PIXELS, 0),
    "tiff, jpeg": (saved(SMOOTH, "tiff", compression="jpeg"), smooth(), 12),
    "tiff, fax": (saved(GREY.convert("1"), "tiff", compression="group4"),
                  np.asarray(GREY.convert("1").convert("RGB")), 0),
    "tiff, grey": (saved(GREY, "tiff"), GREYS, 0),
    "tiff, palette": (saved(PALETTE, "tiff"), PALETTES, 0),
    "tiff, alpha": (saved(with_alpha(COLOR, ALPHA), "tiff"), masked(PIXELS), 0),
    "tiff, cmyk": (saved(SMOOTH.convert("CMYK"), "tiff"), smooth(), 2),
    "tiff, lab": (saved(LAB, "tiff"), np.asarray(PALE), 3),
    "tiff, 16 bits": (saved(Image.fromarray(DEEP[..., 0]), "tiff"), grey(DEEP[..., 0] / 257), 0),
    "tiff, 12 bits": (saved(Image.fromarray(TWELVE), "tiff"), TWELVE_SEEN, 0),
    "tiff, 16 bits of colour": (deep_tiff(DEEP), DEEP >> 8, 0),
    **{
        f"tiff, 12 bits of colour, {order}, {compression}": (
            deep_tiff(DEEP >> 4, order, compression), np.round((DEEP >> 4) * (255 / 4095)), 0)
        for order in "<>" for compression in (1, 8)
    },
    "tiff, 12 bits with half alpha": (
        deep_tiff(np.dstack([DEEP >> 4, HALF.astype(np.uint16) * 257])),
        over(np.round((DEEP >> 4) * (255 / 4095)), HALF), 1),
    "tiff, 32 bits": (
        saved(Image.fromarray(COUNTED * 1000), "tiff"), grey(COUNTED * (255 / 767)), 0),
    "tiff, floats to 1": (saved(Image.fromarray(FLOATS), "tiff"), grey(FLOATS * 255), 1),
    "tiff, floats to 255": (
        saved(Image.fromarray(FLOATS * 250), "tiff"), grey(FLOATS * 250), 1),
    "tiff, floats": (
        saved(Image.fromarray(FLOATS * 2000 - 1000), "tiff"), grey(FLOATS * 255), 1),
    "tiff, pages": (several("tiff"), FIRST, 0),
    "tiff, turn 8": (saved(COLOR, "tiff", tiffinfo={0x0112: 8}), turned(PIXELS, 8), 0),
    "gif": (saved(PALETTE, "gif"), PALETTES, 0),
    "gif, animation": (several("gif"), FIRST, 0),
    "gif, transparent": (
        saved(GIF_TRANSPARENT, "gif", transparency=0),
        masked(np.broadcast_to(RED, [HEIGHT, WIDTH, 3])), 0),
    "bmp": (saved(COLOR, "bmp"), PIXELS, 0),
    "bmp, palette": (saved(PALETTE, "bmp"), PALETTES, 0),
    "bmp, 1 bit": (saved(GREY.convert("1"), "bmp"), np.asarray(GREY.convert("1").convert("RGB")),
                   0),
    "avif": (saved(SMOOTH, "avif", quality=95), smooth(), 16),
    "avif, turn 6": (saved(SMOOTH, "avif", quality=95, exif=exif(6)), turned(smooth(), 6), 16),
}  # fmt: skip


def huge_png(width: int, height: int) -> bytes:
    """A PNG whose header promises many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png(0)[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + (
        png(0)[33:]
    )  # fmt: skip


# Name -> (file, end of its name, status, words of the reason).
UNSEEN = {
    "empty": (b"", ".jpg", "unreadable", "no image"),
    "text": (b"not an image", ".png", "unreadable", "no image"),
    "page": (b"<html><body>404</body></html>", ".jpg", "unreadable", "no image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ".png", "unreadable", "no image"),
    "eps": (saved(COLOR, "eps"), ".jpg", "unreadable", "no image"),
    "pdf": (saved(COLOR, "pdf"), ".tif", "unreadable", "no image"),
    "jpeg, half": (JPEG[: len(JPEG) // 2], ".jpg", "unreadable", "runcated"),
    "jpeg, start": (JPEG[:20], ".jpg", "unreadable", ""),
    "png, half": (png(0, 64, 64)[:2000], ".png", "unreadable", "truncated"),
    "png, damaged": (png(0, 64, 64)[:60] + bytes(20) + png(0, 64, 64)[80:], ".png", "unreadable",
                     ""),
    "gif, start": (b"GIF89a", ".gif", "unreadable", ""),
    "webp, half": (saved(COLOR, "webp", lossless=True)[:300], ".webp", "unreadable", ""),
    "tiff, half": (saved(COLOR, "tiff")[:300], ".tif", "unreadable", ""),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), ".heic", "unreadable",
             "pillow-heif"),
    "bomb": (huge_png(60_000, 60_000), ".png", "too large", "3600 megapixels"),
    "tiny": (png(0, 40, 3), ".png", "too small", "3x40"),
}  # fmt: skip
