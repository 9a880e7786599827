import os

import pytest

from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import UserError
from tests.data.opened import source_of
from tests.data.tiny_images import png, write_folder


def ids(source):
    return [record["id"].decode() for record in source.sequence().as_numpy_iterator()]


def test_flat_folder_is_unlabelled(tmp_path):
    names = ["b.JPG", "a.png", "c.jpeg", "B.gif", "d.Bmp"]
    files = {name: name.encode() for name in [*names, "notes.txt", ".hidden.png", "jpg"]}
    source = ImageFolder(write_folder(tmp_path, files))
    assert ids(source) == ["B.gif", "a.png", "b.JPG", "c.jpeg", "d.Bmp"]
    assert (source.size, source.num_classes, source.class_names) == (5, None, ())
    first = next(source.sequence().as_numpy_iterator())
    assert first == {"id": b"B.gif", "image": b"B.gif", "index": 0, "row": 0}


def test_one_folder_a_class(tmp_path):
    files = {
        "dog/2.png": b"",
        "cat/deep/1.png": b"",
        "cat/0.png": b"",
        ".git/x.png": b"",
        "cat/.thumbs/x.png": b"",
    }
    source = ImageFolder(write_folder(tmp_path, files))
    (tmp_path / "bird").mkdir()
    source = source_of(image_folder=str(tmp_path))
    assert source.class_names == ("bird", "cat", "dog") and source.num_classes == 3
    records = list(source.sequence().as_numpy_iterator())
    assert [(record["id"], record["label"]) for record in records] == [
        (b"cat/0.png", 1),
        (b"cat/deep/1.png", 1),
        (b"dog/2.png", 2),
    ]


def test_images_at_the_top_make_all_unlabelled_which_is_told(tmp_path, capsys):
    source = ImageFolder(write_folder(tmp_path, {"x.png": b"", "cat/0.png": b""}))
    assert ids(source) == ["cat/0.png", "x.png"]
    assert source.num_classes is None
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 images lie beside the folders (x.png), so the images have no classes" in line


def test_links_are_followed_but_not_in_circles(tmp_path):
    write_folder(tmp_path / "elsewhere", {"1.png": b""})
    folder = write_folder(tmp_path / "data", {"a/0.png": b""})
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "b")
    os.symlink(folder, tmp_path / "data" / "a" / "up")
    os.symlink("nowhere.png", tmp_path / "data" / "a" / "broken.png")
    assert ids(ImageFolder(folder)) == ["a/0.png", "b/1.png"]


def test_a_folder_is_read_once_by_its_own_name(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", {"b/0.png": b"", "b/deep/1.png": b"", "c/2.png": b""})
    write_folder(tmp_path / "elsewhere", {"3.png": b""})
    for name, target in (("a", "b"), ("d", "b/deep"), ("e", "../elsewhere"), ("f", "e")):
        os.symlink(target, tmp_path / "data" / name)
    source = ImageFolder(folder)
    assert ids(source) == ["b/0.png", "b/deep/1.png", "c/2.png", "e/3.png"]
    assert source.class_names == ("b", "c", "e")
    assert "3 links to folders that were read;" in capsys.readouterr().err


def test_a_link_to_an_image_doubles_nothing(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", {"cat/0.png": b"", "dog/1.png": b""})
    (tmp_path / "data" / "all").mkdir()
    write_folder(tmp_path / "elsewhere", {"2.png": b""})
    for name, target in (
        ("all/0.png", "../cat/0.png"),
        ("all/x.png", "../dog/1.png"),
        ("dog/z.png", "../../elsewhere/2.png"),
        ("cat/z.png", "../../elsewhere/2.png"),
    ):
        os.symlink(target, tmp_path / "data" / name)
    source = ImageFolder(folder)
    assert ids(source) == ["cat/0.png", "cat/z.png", "dog/1.png"]
    assert source.class_names == ("cat", "dog")
    assert "3 links to images that were read;" in capsys.readouterr().err
    # Nor are links elsewhere other images.
    (tmp_path / "test").mkdir()
    for number, target in enumerate(("data/dog/1.png", "elsewhere/2.png")):
        os.symlink(tmp_path / target, tmp_path / "test" / f"{number}.png")
    test = ImageFolder(str(tmp_path / "test"))
    assert source.common_images(test) == test.common_images(source) == 2


def test_links_to_folders_above_double_nothing(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", {"a/0.png": b"", "b/1.png": b"", "b/2.png": b""})
    os.symlink("..", tmp_path / "data" / "up")
    source = ImageFolder(folder)
    assert ids(source) == ["a/0.png", "b/1.png", "b/2.png"]
    assert source.class_names == ("a", "b")
    assert "1 folders behind links that were read;" in capsys.readouterr().err
    # What else lies above is read once, by the link.
    write_folder(tmp_path, {"c/3.png": b""})
    os.remove(tmp_path / "data" / "up")
    os.symlink(tmp_path, tmp_path / "data" / "a" / "all")
    source = ImageFolder(folder)
    labels = {e["id"]: int(e["label"]) for e in source.annotations().as_numpy_iterator()}
    assert labels == {b"a/0.png": 0, b"a/all/c/3.png": 0, b"b/1.png": 1, b"b/2.png": 1}


def test_a_link_to_a_folder_above_with_another_link_is_a_class(tmp_path):
    folder = write_folder(tmp_path / "set/train", {"a/0.png": b""})
    write_folder(tmp_path / "elsewhere", {"1.png": b""})
    os.symlink("..", tmp_path / "set/train/up")
    os.symlink("../elsewhere", tmp_path / "set/more")
    source = ImageFolder(folder)
    assert ids(source) == ["a/0.png", "up/more/1.png"] and source.class_names == ("a", "up")


@pytest.mark.parametrize("above", ["a/all", "z"])
def test_a_folder_is_read_by_the_link_to_it_not_by_one_above(tmp_path, capsys, above):
    write_folder(tmp_path / "pool", {"c/0.png": b"", "d/1.png": b"", "2.png": b""})
    folder = write_folder(tmp_path / "data", {"a/3.png": b""})
    os.symlink(tmp_path / "pool", tmp_path / "data" / above)
    for name in "cd":
        os.symlink(tmp_path / "pool" / name, tmp_path / "data" / name)
    source = ImageFolder(folder)
    assert ids(source) == sorted(["a/3.png", f"{above}/2.png", "c/0.png", "d/1.png"])
    assert {"a", "c", "d"} <= set(source.class_names)
    assert "2 folders behind links that were read;" in capsys.readouterr().err


def test_classes_that_differ_in_case_or_normal_form_are_told(tmp_path, capsys):
    names = ("Dog", "caf\u00e9", "cafe\u0301", "cat", "dog")
    source = ImageFolder(write_folder(tmp_path, {f"{name}/0.png": b"" for name in names}))
    assert source.num_classes == 5
    (line,) = capsys.readouterr().err.splitlines()
    told = line.split("alone: ")[1]
    assert told.startswith("Dog and dog, cafe\\u0301 and caf\\xe9; rename ")


def test_what_is_left_out_is_counted_and_named(tmp_path, capsys):
    names = ["a.webp", "b.WEBP", "c.tif", "d.jfif", "e"]
    files = {f"cat/{n}": b"" for n in names} | {
        "cat/0.png": b"",
        "hündin/0.webp": b"",
        "eel/1.JPG": b"",
    }
    folder = write_folder(tmp_path, files)
    (tmp_path / "fox").mkdir()  # an empty class of a part of a data set
    source = ImageFolder(folder)
    assert ids(source) == ["cat/0.png", "eel/1.JPG"] and source.num_classes == 4
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"warning: --image_folder={folder}: left out as no images (.jpg, ")
    told = first.split("): ")[1].split(";")[0].split(", ")
    assert told[0] == "3 .webp" and set(told[1:]) == {"1 .tif", "1 .jfif", "1 without extension"}
    assert second == "warning: 1 classes are empty without these files: hündin"


def test_nothing_is_told_where_nothing_is_left_out(tmp_path, capsys):
    files = {"cat/0.png": b"", "dog/0.png": b"", ".DS_Store": b"", "cat/.x": b""}
    ImageFolder(write_folder(tmp_path, files))
    assert capsys.readouterr().err == ""


def test_a_folder_of_other_files_says_what_it_holds(tmp_path):
    folder = write_folder(tmp_path, {"0.webp": b"", "1.webp": b"", "2.t\x1bx": b""})
    with pytest.raises(UserError, match=r"it holds 2 \.webp, 1 \.t\\x1bx: convert"):
        ImageFolder(folder)


def test_a_looped_link_and_a_fifo_are_left_out(tmp_path, capsys):
    folder = write_folder(tmp_path, {"a/0.png": b""})
    os.symlink("loop", tmp_path / "loop")
    os.symlink("x.png", tmp_path / "a" / "x.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    source = ImageFolder(folder)
    assert ids(source) == ["a/0.png"] and source.class_names == ("a",)
    assert "2 broken links, 1 special files;" in capsys.readouterr().err


def test_names_of_any_bytes(tmp_path):
    (tmp_path / "größe 1.png").write_bytes(png(0))
    with open(os.path.join(os.fsencode(tmp_path), b"\xff.png"), "wb") as file:
        file.write(png(1))
    records = list(ImageFolder(str(tmp_path)).sequence().as_numpy_iterator())
    assert [record["id"] for record in records] == ["größe 1.png".encode(), b"\xff.png"]
    assert records[1]["image"] == png(1)


def test_a_file_that_vanishes_reads_as_no_bytes(tmp_path):
    source = ImageFolder(write_folder(tmp_path, {"0.png": png(0), "1.png": png(1)}))
    (tmp_path / "0.png").unlink()
    assert [r["image"] for r in source.sequence().as_numpy_iterator()] == [b"", png(1)]


@pytest.mark.parametrize(
    "name, message",
    [("nowhere", "does not exist"), ("file", "is a file"), ("empty", "holds no image")],
)
def test_bad_folders(tmp_path, name, message):
    write_folder(tmp_path, {"file": b"", "empty/readme.txt": b""})
    with pytest.raises(UserError, match=f"--image_folder=.*{name} {message}") as caught:
        ImageFolder(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_relative_folder_that_is_not_there_is_told_with_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        ImageFolder("photos")
    told = f"--image_folder=photos does not exist in {tmp_path}; correct the path"
    assert str(caught.value) == told
