"""Odd files are read as people see them, or told."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data import unusual
from ssl_tf.preparation.as_seen import as_seen, header, open_image
from ssl_tf.preparation.image_units import KEPT, read_image
from ssl_tf.settings import PrepareSettings, flagfiles
from tests.preparation import odd_files


def settings(*flags):
    return flagfiles.parse(["--input=I", "--output=O", *flags], PrepareSettings)


def seen(content: bytes, short_side: int = 0) -> np.ndarray:
    with open_image(content) as image:
        return np.asarray(as_seen(image, content, short_side, f"#{odd_files.BACKGROUND}"), int)


@pytest.mark.parametrize("name", odd_files.SEEN)
def test_a_file_is_read_as_people_see_it(name, tmp_path):
    content, expected, tolerance = odd_files.SEEN[name]
    image = seen(content)
    assert image.shape == expected.shape
    assert np.abs(image - expected).max() <= tolerance
    with open_image(content) as opened:
        found = header(opened)
    assert (found.height, found.width) == expected.shape[:2]
    assert found.turned == any(f"turn {n}" in name for n in range(2, 9))
    assert found.several == any(w in name for w in ("apng", "animation", "pages", "mpo"))


@pytest.mark.parametrize("alpha, transparent", [(255, False), (254, True)])
@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "png of grey", "png of a palette"])
def test_an_image_is_transparent_where_something_shows_through(kind, alpha, transparent):
    image = odd_files.with_alpha(Image.new("RGB", (8, 6), "red"), np.full([6, 8], 255, np.uint8))
    image.putpixel((3, 2), (255, 0, 0, alpha))
    if "grey" in kind:
        image = image.convert("LA")
    if "palette" in kind:
        image = image.quantize(8)
    content = odd_files.saved(image, kind.split()[0])
    with open_image(content) as opened:
        assert header(opened).transparent == transparent


@pytest.mark.parametrize("name", ["png, key grey of 4 bits", "png, key grey of 16 bits"])
def test_a_grey_level_that_is_transparent_is_told(name):
    with open_image(odd_files.SEEN[name][0]) as opened:
        assert header(opened).transparent
    opaque = odd_files.key_colour(Image.new("I;16", (8, 6)), 1)
    with open_image(opaque) as opened:
        assert not header(opened).transparent


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_xmp_turns_nothing_as_in_browsers(kind):
    file = io.BytesIO()
    Image.new("RGB", (20, 12)).save(file, kind, xmp=XMP)
    image = open_image(file.getvalue())
    assert image.getexif()[0x0112] == 6  # Pillow would turn it
    told = header(image)
    assert (told.turned, told.width, told.height) == (False, 20, 12)
    assert seen(file.getvalue()).shape == (12, 20, 3)


@pytest.mark.parametrize("name", odd_files.UNSEEN)
def test_a_file_that_nobody_can_see_is_told(name, tmp_path):
    content, end, status, words = odd_files.UNSEEN[name]
    path = tmp_path / f"x{end}"
    path.write_bytes(content)
    facts, encoded = read_image(str(path), settings("--min_side=4"))
    assert facts["status"] == status and words in facts["reason"] and encoded == b""
    assert facts["bytes"] == len(content) and "\n" not in facts["reason"]


def test_a_missing_file_is_told(tmp_path):
    facts, _ = read_image(str(tmp_path / "x.png"), settings())
    assert facts == {"status": "unreadable", "reason": "No such file or directory"}


def test_there_are_more_than_sixty_odd_files():
    assert len(odd_files.SEEN) + len(odd_files.UNSEEN) > 75


@pytest.mark.parametrize(
    "size, short_side, expected",
    [((640, 480), 96, (96, 128)), ((480, 640), 96, (128, 96)), ((64, 48), 96, (48, 64)),
     ((1000, 10), 8, (8, 800)), ((7, 9), 8, (9, 7))],
)  # fmt: skip
def test_the_short_side_is_at_most_the_wanted(size, short_side, expected):
    image = odd_files.Image.new("RGB", size, "#204060")
    small = seen(odd_files.saved(image, "png"), short_side)
    assert small.shape == (*expected, 3) and (small == [0x20, 0x40, 0x60]).all()


def test_a_large_jpeg_is_like_one_that_was_decoded_whole_and_then_resized():
    y, x = np.mgrid[:1200, :1600]
    waves = 128 + 60 * np.sin(x / 90) + 60 * np.cos(y / 70)
    image = odd_files.Image.fromarray(np.stack([waves, 255 - waves, x / 8], -1).astype(np.uint8))
    content = odd_files.saved(image, "jpeg", quality=95, exif=odd_files.exif(6))
    whole = odd_files.Image.open(odd_files.io.BytesIO(content)).resize((128, 96))
    expected = odd_files.turned(np.asarray(whole, int), 6)
    assert np.abs(seen(content, 96) - expected).max() <= 4


def test_images_beyond_pillows_limit_are_read_and_the_limit_stays(tmp_path, monkeypatch):
    """Without it a BMP of 2 KB that promises 2^30 rows takes the memory of the machine."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    content, path = io.BytesIO(), tmp_path / "image"
    for kind in ("bmp", "tiff"):
        Image.new("RGB", (40, 30)).save(path, kind)
        assert read_image(str(path), settings())[0]["status"] == KEPT
        assert Image.MAX_IMAGE_PIXELS == 50
    path.write_bytes(b"BM")
    read_image(str(path), settings())
    assert Image.MAX_IMAGE_PIXELS == 50
    Image.new("P", (40, 30)).save(content, "bmp")
    with pytest.raises(Image.DecompressionBombError):
        unusual.decode(tf.constant(content.getvalue()))


def test_what_is_kept_has_all_facts(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(odd_files.SEEN["jpeg, turn 6"][0])
    facts, encoded = read_image(str(path), settings("--short_side=16", "--encoding=png"))
    assert facts["status"] == KEPT and encoded.startswith(b"\x89PNG")
    assert (facts["width"], facts["height"], facts["prepared"]) == (24, 32, (16, 21))
    assert facts["turned"] and not facts["profile"] and facts["format"] == "JPEG"
    assert len(facts["hash"]) == 16 and len(facts["sha256"]) == 64
