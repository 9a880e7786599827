"""Files from outside, as bad as they come: no traceback, no hang, the documented exit code."""

import contextlib
import io
import json
import signal
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from ssl_tf import command
from ssl_tf.data.batches import evaluation_batches
from ssl_tf.data.openimages.box_csv import BoxFile
from ssl_tf.data.openimages.id_lists import read_ids
from ssl_tf.data.proposals.importing import Importer
from ssl_tf.data.sources.opening import open_split
from ssl_tf.errors import EXIT_FAILURE, UserError
from ssl_tf.settings import DataSettings
from tests.data.tiny_images import example, picture, png, write_records

_SECONDS = 120


@contextlib.contextmanager
def limited_time():
    """Ends a test that hangs."""

    def expired(*_):
        raise TimeoutError("the file hangs the program")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read_through(data: DataSettings) -> None:
    """Opens the images and reads them once, as an evaluation does."""
    source = open_split(data)
    try:
        for _ in evaluation_batches(source, 8, 4):
            pass
    except Exception:
        source.unreadable.check()
        raise


def exit_code(arguments: list[str], capsys) -> int:
    with limited_time(), pytest.raises(SystemExit) as stopped:
        command.run(read_through, DataSettings, arguments)
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert not any("Traceback" in line for line in lines)
    return stopped.value.code


def saved(kind: str, image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def header_of_png(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    return png(0)[:16] + struct.pack(">IIBB", width, height, depth, color) + png(0)[26:]


def bmp(width: int, height: int, bits: int = 8, offset: int = 1078) -> bytes:
    file = struct.pack("<2sIHHI", b"BM", 2000, 0, 0, offset)
    header = file + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return header + bytes(200)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("0.png", png(0))
    return buffer.getvalue()


COLOR = Image.fromarray(picture(0, 16, 16))
JPEG = saved("jpeg", COLOR)
IMAGES = {
    "empty": b"",
    "one byte": b"\xff",
    "text": b"not an image",
    "a page": b"<html><body>404</body></html>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "zip": zipped(),
    "webp": saved("webp", COLOR),
    "tiff": saved("tiff", COLOR),
    "zeros": bytes(1000),
    "noise": np.random.default_rng(0).bytes(1000),
    "jpeg, start": JPEG[:2],
    "jpeg, half": JPEG[: len(JPEG) // 2],
    "jpeg, zeros": JPEG[:20] + bytes(500),
    "png, start": png(0)[:8],
    "png, header": png(0)[:33],
    "png, half": png(0)[: len(png(0)) // 2],
    "png, no width": header_of_png(0, 6),
    "png, huge": header_of_png(2**31 - 1, 2**31 - 1),
    "png, depth 77": header_of_png(8, 6, depth=77),
    "png, 16 bits of nothing": header_of_png(8, 6, depth=16),
    "png, 12 bits": saved("png", Image.fromarray(np.full([8, 8], 4000, np.uint16))),
    "bmp, start": b"BM",
    "bmp, cut": bmp(64, 64),
    "bmp, no width": bmp(0, 8),
    "bmp, huge": bmp(2**31 - 1, 2**31 - 1),
    "bmp, pixels elsewhere": bmp(8, 8, offset=2**31),
    "bmp, 24 bits, huge": bmp(2**30, 2**30, bits=24),
    "gif, start": b"GIF89a",
    "gif, no frame": b"GIF89a\x08\x00\x08\x00\x00\x00\x00;",
}


@pytest.mark.parametrize("content", IMAGES.values(), ids=IMAGES.keys())
def test_images(content, tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(content)
    flags = [f"--image_folder={tmp_path}", "--max_bad_images=0"]
    assert exit_code(flags, capsys) == EXIT_FAILURE


def records(*contents: bytes):
    return lambda path: write_records(path, list(contents))


def raw(content: bytes):
    return lambda path: path.write_bytes(content)


GOOD = example(image=png(0), label=0)
RECORDS = {
    "empty": raw(b""),
    "text": raw(b"image,label\n"),
    "image": raw(png(0)),
    "zip": raw(zipped()),
    "length of 2^63": raw(b"\xff" * 12 + bytes(100)),
    "folder": lambda path: path.mkdir(),
    "empty records": records(b"", b""),
    "garbage": records(b"\xff" * 50),
    "garbage after good": records(GOOD, b"\xff" * 50),
    "empty after good": records(GOOD, b""),
    "json": records(json.dumps({"image": "x"}).encode()),
    "no image": records(example(label=1)),
    "image as number": records(GOOD, example(image=1, label=0)),
    "label as text": records(GOOD, example(image=png(0), label=b"dog")),
    "label missing": records(GOOD, example(image=png(0))),
    "label -1": records(GOOD, example(image=png(0), label=-1)),
    "label 2^62": records(GOOD, example(image=png(0), label=2**62)),
    "label -2^63": records(GOOD, example(image=png(0), label=-(2**63))),
    "two ids": records(example(image=png(0), id=[b"a", b"b"])),
    "no such image": records(*[example(image=b"", label=0)] * 3),
}


@pytest.mark.parametrize("write", RECORDS.values(), ids=RECORDS.keys())
def test_records(write, tmp_path, capsys):
    write(tmp_path / "x.tfrecord")
    flags = [f"--tfrecord={tmp_path}/*", "--max_bad_images=0"]
    assert exit_code(flags, capsys) == EXIT_FAILURE


LISTS = {
    "x.txt": [b"", b"\n\n", b"\xff\xfe\x00", b"../../etc\n", "0001eeaf4aed83f9".encode("utf-16")],
    "x.json": [b"", b"{", b"3", b"[[1]]", b"[null]", b"[" * 100_000, b"1" * 10_000, b"\xff"],
    "x.npy": [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"\x80\x04garbage", zipped()],
}


@pytest.mark.parametrize(
    "name, content", [(name, content) for name, contents in LISTS.items() for content in contents]
)
def test_lists_of_ids(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with limited_time(), pytest.raises(UserError) as told:
        read_ids(tmp_path / name, "--ids")
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


BOXES = {
    "x.csv": [b"", b"\x00", b"\xff\xfe\x00", b'"', b"id\n", b"id,ymin,xmin,ymax,xmax\n\x00\n"],
    "x.json": [b"", b"null", b"[]]", b'{"images": 1, "annotations": 2}', b"[" * 100_000, b"\xff"],
    "x.npy": [b"", b"\x93NUMPY", b"\x80\x04garbage", zipped()],
}


@pytest.mark.parametrize(
    "name, content", [(name, content) for name, contents in BOXES.items() for content in contents]
)
def test_boxes(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    importer = Importer()
    with limited_time():
        try:
            assert not list(importer.images(str(tmp_path / name)))
        except UserError as error:
            assert "\n" not in str(error) and name in str(error)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n", b'"' + b"x" * 200_000])
def test_boxes_of_openimages(content, tmp_path):
    (tmp_path / "x.csv").write_bytes(content)
    with limited_time(), pytest.raises(UserError) as told:
        list(BoxFile(tmp_path / "x.csv", "--boxes").read({}))
    assert "\n" not in str(told.value)
