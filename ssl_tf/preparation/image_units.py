"""The first stage: reads the images of a unit, resizes, encodes and hashes them."""

import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ssl_tf.errors import UserError, printable
from ssl_tf.files import replacing
from ssl_tf.preparation import work_files
from ssl_tf.preparation.as_seen import as_seen, header, open_image, reason, unlimited_pixels
from ssl_tf.preparation.file_list import OF_THE_FILE, size_of
from ssl_tf.preparation.perceptual_hash import colours, perceptual_hash
from ssl_tf.settings import PrepareSettings

# What becomes of an image; `duplicates` adds two more.
KEPT, UNREADABLE, TOO_SMALL, TOO_LARGE = "kept", "unreadable", "too small", "too large"


def image_work(settings: PrepareSettings, root: str) -> Callable[[int], None]:
    """The work of a worker: reads a unit, given its number.

    Args:
        settings: of the preparation.
        root: folder to which the paths are relative.
    """
    work = Path(settings.output) / work_files.WORK
    return lambda number: _read_unit(number, work, root, settings)


def _read_unit(number: int, work: Path, root: str, settings: PrepareSettings) -> None:
    listing = work_files.read(work_files.path_of(work, work_files.LISTING, number), list)
    rows, offset = [], 0
    pixels = work_files.path_of(work, work_files.PIXELS, number)
    with replacing(pixels, shared=True) as temporary, temporary.open("wb") as file:
        for path, size in listing:
            source = os.path.join(root, path)
            facts, encoded = read_image(source, settings)
            now = facts["bytes"] if "bytes" in facts else size_of(source)
            # A disk that is gone leaves an empty folder; other files may lie in its place.
            if now != size:
                raise UserError(
                    f"{printable(source)} is not as it was when this was begun ({_told(size)} "
                    f"then, {_told(now)} now): bring it back, or give a new --output"
                )
            file.write(encoded)
            rows.append({"id": path, **facts, "offset": offset, "length": len(encoded)})
            offset += len(encoded)
    # Last: it means that the unit is done.
    work_files.write(work_files.path_of(work, work_files.FACTS, number), rows)


def _told(size: int | None) -> str:
    return "absent" if size is None else f"{size} bytes"


def read_image(path: str, settings: PrepareSettings) -> tuple[dict, bytes]:
    """The facts and the encoding of an image.

    Args:
        path: of the file.
        settings: give size, encoding and limits.

    Returns:
        The facts: "status", "reason" if it is left out, and as far as they are known "bytes",
        "sha256" of the file, those of `Header`, "hash" and "colours" (hexadecimal), and
        "prepared", its new width and height. The encoding is empty if the image is left out.

    Raises:
        OSError: the disk fails.
        UserError: memory is short.
    """
    facts: dict = {"status": UNREADABLE}
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            return {**facts, "reason": "it is no regular file"}, b""
        with open(path, "rb") as file:
            content = file.read()
        facts |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        with unlimited_pixels(), open_image(content) as image:
            refused = _refused(image.size, settings)
            facts |= {"format": image.format, "width": image.width, "height": image.height}
            if refused:
                return {**facts, "status": refused[0], "reason": refused[1]}, b""
            facts |= vars(header(image))
            seen = as_seen(image, content, settings.short_side, f"#{settings.background}")
        encoded = encode(seen, settings)
    except OSError as error:
        if error.errno and error.errno not in OF_THE_FILE:
            raise
        return {**facts, "reason": error.strerror or reason(error, path)}, b""
    except MemoryError:
        raise UserError(
            f"{path} takes more memory than there is; give fewer --workers or less --max_pixels"
        ) from None
    except Exception as error:  # damaged files, as Pillow says in many ways
        return {**facts, "reason": reason(error, path)}, b""
    facts |= {
        "status": KEPT,
        "prepared": seen.size,
        "hash": f"{perceptual_hash(seen):016x}",
        "colours": colours(seen).hex(),
    }
    return facts, encoded


def encode(image: Image.Image, settings: PrepareSettings) -> bytes:
    """The file of an RGB image, without metadata."""
    file = io.BytesIO()
    if settings.encoding == "jpeg":
        image.save(file, "JPEG", quality=settings.quality)
    else:
        # PPM ends with the pixels as they are.
        image.save(file, "PNG" if settings.encoding == "png" else "PPM")
    return file.getvalue()


def _refused(size: tuple[int, int], settings: PrepareSettings) -> tuple[str, str] | None:
    """The status and the reason of an image that is left out for its size; else None."""
    if min(size) < settings.min_side:
        return TOO_SMALL, f"{size[0]}x{size[1]}, its short side is below {settings.min_side}"
    if size[0] * size[1] > settings.max_pixels:
        millions = size[0] * size[1] / 1e6
        return TOO_LARGE, f"{size[0]}x{size[1]}, {millions:.0f} megapixels"
    return None
