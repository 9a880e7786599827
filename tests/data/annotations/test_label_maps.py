import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_tf.data.annotations.label_map_folders import LabelMapFolders, read_names
from ssl_tf.data.annotations.label_maps import read_label_map
from ssl_tf.errors import SettingsError, UserError
from tests.data.annotations.annotated_files import label_png, read, write_maps

LABELS = np.arange(48).reshape(6, 8) % 4


def test_maps_by_the_names_of_the_images(tmp_path):
    images, maps = write_maps(tmp_path, {"b/two": LABELS[::-1], "a": LABELS})
    source = LabelMapFolders(images, maps)
    assert (source.size, source.num_classes, source.class_names) == (2, 4, ())
    examples = read(source)
    assert [example["id"] for example in examples] == [b"a.png", b"b/two.png"]
    np.testing.assert_array_equal(examples[0]["label_map"], LABELS)
    np.testing.assert_array_equal(examples[1]["label_map"], LABELS[::-1])
    np.testing.assert_array_equal(examples[0]["size"], [6, 8])


def packed_png(labels, depth, palette=False):
    """A PNG of `depth` bits a pixel, as programs that pack files write it (PNG 3, section 11)."""
    bits = (labels[..., np.newaxis] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(len(labels), -1).astype(np.uint8), axis=1)
    lines = np.pad(rows, [(0, 0), (1, 0)]).tobytes()
    height, width = labels.shape
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 3 * palette, 0, 0, 0))]
    if palette:
        chunks.append((b"PLTE", bytes(3 * 2**depth)))
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    made = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        check = struct.pack(">I", zlib.crc32(kind + content))
        made += struct.pack(">I", len(content)) + kind + content + check
    return made


@pytest.mark.parametrize("palette", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_numbers_of_any_depth_are_the_labels(depth, palette):
    labels = np.arange(2**depth).reshape(-1, 2)
    found = read_label_map(packed_png(labels, depth, palette), "a.png", labels.shape)
    np.testing.assert_array_equal(found, labels)


def test_classes_may_count_from_label_one(tmp_path):
    labels = LABELS.copy()
    labels[0, 0] = 255
    source = LabelMapFolders(*write_maps(tmp_path, {"a": labels}), reduce_zero_label=True)
    assert source.num_classes == 3
    expected = np.where(np.isin(labels, (0, 255)), 255, labels - 1)
    np.testing.assert_array_equal(read(source)[0]["label_map"], expected)


def test_the_order_and_the_share_are_those_of_all_sources(tmp_path):
    source = LabelMapFolders(*write_maps(tmp_path, {str(n): LABELS for n in range(9)}))
    ids = [e["id"] for e in source.stream(0, 0, 18).as_numpy_iterator()]
    assert sorted(ids[:9]) == sorted(ids[9:]) and ids[:9] != ids[9:]
    rest, held_out = source.hold_out(2)
    assert {*(e["id"] for e in read(rest))} | {*(e["id"] for e in read(held_out))} == {*ids}


def test_labels_without_a_pixel_are_told(tmp_path, capsys):
    LabelMapFolders(*write_maps(tmp_path, {"a": np.where(LABELS == 2, 5, LABELS)}))
    assert "2 of the labels below 5, such as 2, 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    "labels, told",
    [
        (LABELS[:5], "8x6 pixels, but its label map is of 8x5"),
        (LABELS + 3, "a.png has the label 6, but there are 4 classes"),
    ],
)
def test_a_wrong_map_ends_the_reading_in_one_line(tmp_path, labels, told):
    # Of so many maps every second one is looked at beforehand, and this is not among them.
    maps = {"A": LABELS, "a": labels, **{f"b{n:02d}": LABELS for n in range(65)}}
    source = LabelMapFolders(*write_maps(tmp_path, maps), num_classes=4)
    with pytest.raises(UserError, match=told):
        with source.reading():
            read(source)


def test_names_are_compared_with_all_maps(tmp_path, capsys):
    images, maps = write_maps(tmp_path, {"a": LABELS % 3, "b": LABELS})
    with pytest.raises(UserError, match="has the label 3, and there are 3 classes"):
        LabelMapFolders(images, maps, class_names=("sky", "sea", "sand"))
    capsys.readouterr()
    assert LabelMapFolders(images, maps, class_names=tuple("abcd")).num_classes == 4
    assert capsys.readouterr().err == ""
    # As where the names begin with a background that the maps do not count.
    LabelMapFolders(images, maps, class_names=tuple("_abcd"))
    assert "there are 5 classes, and the largest label is 3" in capsys.readouterr().err


def test_a_label_without_a_name_does_not_shift_the_others(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("sky\n sea \n\n\n")
    assert read_names(str(path)) == ("sky", "sea")
    path.write_text("sky\n\nsea\n")
    with pytest.raises(UserError, match="line 2 has no name"):
        read_names(str(path))


def test_what_is_no_map_is_told(tmp_path):
    images, maps = write_maps(tmp_path, {"a": LABELS, "b": None})
    with pytest.raises(UserError, match="1 of the 2 images have no label map, such as .*b.png"):
        LabelMapFolders(images, maps)
    Image.fromarray(np.stack([LABELS, 1 - LABELS, LABELS], -1).astype(np.uint8)).save(
        Path(maps) / "b.png"
    )
    with pytest.raises(UserError, match="has colours in place of labels"):
        LabelMapFolders(images, maps)
    (Path(maps) / "b.png").write_bytes(label_png(LABELS + 254))
    with pytest.raises(SettingsError, match="label 255 is ignored"):
        LabelMapFolders(images, maps, class_names=[str(n) for n in range(256)])
    (Path(maps) / "b.png").write_bytes(label_png(LABELS)[:40])
    with pytest.raises(UserError, match="b.png cannot be decoded"):
        LabelMapFolders(images, maps)
    # A JPEG has other labels at every edge.
    Image.fromarray(LABELS.astype(np.uint8)).save(Path(maps) / "b.png", "JPEG")
    with pytest.raises(UserError, match="b.png is no PNG; write"):
        LabelMapFolders(images, maps)


def test_masks_of_0_and_255_hold_one_label_as_their_remedy_says(tmp_path, capsys):
    masks = {name: np.where(LABELS, 255, 0) for name in "ab"}
    folders = write_maps(tmp_path, masks)
    with pytest.raises(UserError, match=r"hold \[0\] alone, .* write the foreground as 1"):
        LabelMapFolders(*folders)
    LabelMapFolders(*folders, num_classes=2)
    assert "write the foreground as 1" in capsys.readouterr().err
    LabelMapFolders(*write_maps(tmp_path, {"b": LABELS > 0}), num_classes=2)
    assert capsys.readouterr().err == ""


def test_maps_do_not_count_as_images(tmp_path):
    folder, _ = write_maps(tmp_path, {"a": LABELS})
    with pytest.raises(SettingsError, match="is the folder of the images"):
        LabelMapFolders(folder, f"{folder}/../images")


def test_an_image_has_a_map_of_its_own(tmp_path):
    folder, maps = write_maps(tmp_path, {"a": LABELS})
    Path(folder, "a.jpg").write_bytes(Path(folder, "a.png").read_bytes())
    with pytest.raises(UserError, match="a.jpg and a.png would have the same label map"):
        LabelMapFolders(folder, maps)


def test_images_of_other_formats_and_maps_without_an_image_are_told(tmp_path, capsys):
    folder, maps = write_maps(tmp_path, {"a": LABELS, "b/b": LABELS, "c": LABELS})
    assert LabelMapFolders(folder, maps).size == 3
    assert capsys.readouterr().err == ""
    Path(folder, "a.png").rename(Path(folder, "a.webp"))
    Path(folder, "b/b.png").rename(Path(folder, "b/b.tif"))
    assert LabelMapFolders(folder, maps).size == 1
    told = capsys.readouterr().err.splitlines()
    assert "1 .webp" in told[0] and "1 .tif" in told[0] and "convert or rename" in told[0]
    assert f"2 of 3 label maps have no image, such as {maps}/a.png, and are not read" in told[1]
