"""The command as a user runs it: what it writes, killed and resumed, and what goes wrong."""

import csv
import hashlib
import json
import os
import resource
from html.parser import HTMLParser

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf import command, prepare
from ssl_tf.data.decoding import pixels
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import UserError
from ssl_tf.files import remove
from ssl_tf.preparation import choosing, preparing, work_files
from ssl_tf.preparation.file_list import collect
from ssl_tf.settings import PrepareSettings
from tests.data.opened import source_of
from tests.data.tiny_images import picture, png, write_folder
from tests.preparation.odd_files import JPEG, SEEN, exif, saved, turned

SIZE = ["--short_side=16", "--min_side=4"]


@pytest.fixture
def in_turn(monkeypatch):
    """Shards one after another, in this process: Beam has a test of its own."""

    def run(stage, prepare, paths, sizes, unit, **_):
        work = prepare()
        for number, path in enumerate(paths):
            if not path.exists():
                work(number)

    monkeypatch.setattr(preparing, "run_shards", run)


def start(folder, output, *flags):
    command.run(
        prepare.main, PrepareSettings, [f"--input={folder}", f"--output={output}", *SIZE, *flags]
    )


def fails(capsys, folder, output, *flags):
    """The one line of a failure."""
    with pytest.raises(SystemExit) as stopped:
        start(folder, output, *flags)
    assert stopped.value.code in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ") and not any("Traceback" in line for line in lines)
    return lines[-1]


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def listed(output):
    with (output / "images.csv").open(newline="", errors="surrogateescape") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def records(output, split):
    source = source_of(prepared=str(output), split=split)
    return {r["id"].decode(): r for r in source.sequence().as_numpy_iterator()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 20 images, a copy, a look-alike, a damaged, a tiny and a turned one."""
    content = {f"{c}/{n:02}.png": png(100 * c + n, 20, 24) for c in (0, 1) for n in range(20)}
    wide = Image.fromarray(picture(7, 9, 12)).resize((96, 72))
    content |= {
        "0/copy.png": content["1/05.png"],
        "1/wide.png": saved(wide, "png"),
        "1/wide.jpg": saved(wide, "jpeg", quality=90),
        "1/damaged.jpg": JPEG[:300],
        "1/tiny.gif": saved(Image.new("L", (3, 9)), "gif"),
        "1/turned.jpg": saved(Image.fromarray(picture(9, 12, 9)).resize((40, 20)), "jpeg",
                              exif=exif(6)),
        "notes.txt": b"",
    }  # fmt: skip
    return write_folder(tmp_path_factory.mktemp("data") / "folder", content)


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """The result of an undisturbed preparation, by Beam."""
    output = tmp_path_factory.mktemp("whole") / "output"
    start(folder, output, "--encoding=png", "--workers=1", "--validation_share=0.2")
    return output


def test_the_directory_holds_records_lists_and_a_report(whole):
    assert set(files(whole)) == {
        "flags.txt", "prepared.json", "images.csv", "report.json", "report.html",
        "contact_sheet.png", "look_alikes.png", "train-00000-of-00001.tfrecord",
        "validation-00000-of-00001.tfrecord",
    }  # fmt: skip


def test_every_file_is_listed_with_what_became_of_it(whole, folder):
    rows = listed(whole)
    assert len(rows) == 46
    assert (
        rows["1/05.png"]["status"] == "same bytes" and rows["1/05.png"]["same_as"] == "0/copy.png"
    )
    assert (rows["1/damaged.jpg"]["status"], rows["1/tiny.gif"]["status"]) == (
        "unreadable", "too small",
    )  # fmt: skip
    assert rows["1/wide.png"]["looks_like"] == "1/wide.jpg"
    assert rows["1/wide.png"]["split"] == rows["1/wide.jpg"]["split"] != ""
    assert (rows["1/turned.jpg"]["width"], rows["1/turned.jpg"]["height"]) == ("20", "40")
    report = json.loads((whole / "report.json").read_text())
    assert report["status"] == {"kept": 43, "same bytes": 1, "unreadable": 1, "too small": 1}
    # The sheet is of what is kept: the class of the copy, which comes first, is the other one.
    assert report["classes"]["0"]["train"] + report["classes"]["0"]["validation"] == 21
    assert report["special"]["turned"] == 1 and report["images"] == 46
    assert report["left out"]["too small"] == [["1/tiny.gif", "3x9, its short side is below 4"]]


def test_ids_labels_and_pixels_are_those_of_the_folder(whole, folder):
    train, validation = records(whole, "train"), records(whole, "validation")
    rows = listed(whole)
    for name, part in (("train", train), ("validation", validation)):
        assert part.keys() == {key for key, row in rows.items() if row["split"] == name}
    assert len(validation) in (8, 9, 10) and {r["label"] for r in validation.values()} == {0, 1}
    for image_id, record in {**train, **validation}.items():
        assert record["label"] == int(image_id[0])
    seen = pixels(train.get("0/03.png", validation.get("0/03.png"))["image"]).numpy()
    expected = Image.fromarray(picture(3, 20, 24)).resize((19, 16), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(seen, np.asarray(expected))
    upright = pixels({**train, **validation}["1/turned.jpg"]["image"]).numpy()
    whole_image = np.asarray(Image.open(f"{folder}/1/turned.jpg").resize((32, 16)), int)
    assert np.abs(upright - turned(whole_image, 6)).mean() < 8
    assert {r["id"] for r in ImageFolder(folder).sequence().as_numpy_iterator()} >= {
        image_id.encode() for image_id in (*train, *validation)
    }


def test_the_page_needs_no_other_file(whole):
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.extend(value for name, value in attributes if name in ("src", "href"))

    text = (whole / "report.html").read_text()
    Reader().feed(text)
    assert len(found) == 2 and all(link.startswith("data:image/png;base64,") for link in found)
    for words in ("46 files", "1/damaged.jpg", "with a colour profile", "--short_side=16"):
        assert words in text


def test_a_preparation_that_was_stopped_three_times_ends_with_the_same_bytes(
    whole, folder, tmp_path, in_turn, monkeypatch
):
    output = tmp_path / "output"
    flags = ["--encoding=png", "--validation_share=0.2"]
    written, write = [], work_files.write

    def dying(path, value):
        # In the listing, in the facts of the images, and in the plan of a record file.
        if stop and path.name == stop[0] and path.parent.name == stop[1]:
            raise KeyboardInterrupt
        written.append(path)
        write(path, value)

    monkeypatch.setattr(work_files, "write", dying)
    for stop in (("000002.json", "listing"), ("000004.json", "facts"), ("000001.json", "plans")):
        with pytest.raises(SystemExit) as stopped:
            start(folder, output, *flags)
        assert stopped.value.code == 130
        # What a killed process leaves.
        (output / "work" / "facts").mkdir(exist_ok=True)
        (output / "work" / "facts" / "000005.json.77.writing").write_bytes(b"[")
        (output / "train-00000-of-00001.tfrecord.77.writing").write_bytes(b"half")
    stop = None
    start(folder, output, *flags)
    ours, theirs = files(output), files(whole)
    ours.pop("flags.txt"), theirs.pop("flags.txt")
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name] == theirs[name], name
    facts = [path for path in written if path.parent.name == "facts"]
    assert len(facts) == len(set(facts)) == 6


def test_what_killed_workers_left_is_removed_before_others_write(tmp_path, in_turn, monkeypatch):
    changing, output = twenty(tmp_path / "in"), tmp_path / "out"
    killed_after(1, changing, output)
    left = [
        output / "work" / "pixels" / "000000.bin.7.writing",
        output / "work" / "facts" / "000000.json.7.0123abcd.writing",
        output / "train-00000-of-00001.tfrecord.7.0123abcd.writing",
    ]
    for path in left:
        path.write_bytes(b"half")
    run_shards = preparing.run_shards

    def run(*arguments, **options):
        assert not any(path.exists() for path in left)
        run_shards(*arguments, **options)

    monkeypatch.setattr(preparing, "run_shards", run)
    start(changing, output)
    assert len(listed(output)) == 20


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_a_unit_that_is_short_or_gone_gives_no_cut_image(encoding, tmp_path, capsys, in_turn):
    folder, output = twenty(tmp_path / "in"), tmp_path / "out"
    flags = (f"--encoding={encoding}", "--validation_share=0.2")
    unit = output / "work" / "pixels" / "000001.bin"
    run = preparing.run_shards

    def start_with(damage):
        def damaged(stage, *arguments, **options):
            if stage == "records":
                damage()
            run(stage, *arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preparing, "run_shards", damaged)
            return fails(capsys, folder, output, *flags)

    told = start_with(lambda: os.truncate(unit, unit.stat().st_size - 1))
    facts = output / "work" / "facts" / "000001.json"
    assert told == f"error: {unit} ends too early; remove {facts}, and its images are read again"
    assert f"{unit} is gone; remove {facts}, and its images" in start_with(unit.unlink)
    facts.unlink()
    start(folder, output, *flags)
    assert len(records(output, "train")) == 16


def test_a_complete_result_is_left_alone_and_a_changed_folder_is_told(folder, tmp_path, capsys,
                                                                      in_turn):  # fmt: skip
    changing = write_folder(tmp_path / "in", {f"{n}.png": png(n, 20, 20) for n in range(3)})
    output = tmp_path / "out"
    start(changing, output)
    before = files(output)
    start(changing, output)
    assert files(output) == before and "is complete" in capsys.readouterr().err
    (path,) = output.glob("train-*.tfrecord")
    os.truncate(path, len(before[path.name]) - 1)
    assert "or prepare the images again, into a new dir" in fails(capsys, changing, output)
    path.write_bytes(before[path.name])
    write_folder(tmp_path / "in", {"new.png": png(9, 20, 20)})
    assert "has other ones now (4); give a new directory" in fails(capsys, changing, output)
    assert files(output) == before
    # So is a file that was replaced under its name.
    os.remove(tmp_path / "in" / "new.png")
    write_folder(tmp_path / "in", {"1.png": png(1, 30, 30)})
    assert "has other ones now (3); give a new directory" in fails(capsys, changing, output)
    assert "was made with other flags (--seed=0 there, 5 here)" in fails(
        capsys, changing, output, "--seed=5"
    )


def test_a_result_whose_index_is_gone_is_not_complete(tmp_path, capsys, in_turn):
    folder, output = twenty(tmp_path / "in"), tmp_path / "out"
    start(folder, output, "--encoding=raw")
    (index,) = output.glob("train-*.npz")
    index.unlink()
    assert f"{index} is gone: restore the file" in fails(capsys, folder, output, "--encoding=raw")


def killed_after(units, folder, output, *flags):
    """Starts a preparation that is killed when this number of units is done."""
    write = work_files.write

    def dying(path, value):
        if path.parent.name == "facts" and path.name == f"{units:06}.json":
            raise KeyboardInterrupt
        write(path, value)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(work_files, "write", dying)
        start(folder, output, *flags)
    assert stopped.value.code == 130


def twenty(folder, first=0):
    """Twenty images, which are two units of eight and one of four."""
    return write_folder(folder, {f"{n:02}.png": png(first + n, 20, 20) for n in range(20)})


def test_a_folder_that_changes_meanwhile(tmp_path, capsys, in_turn):
    changing, output = twenty(tmp_path / "in"), tmp_path / "out"
    before = {name: len(content) for name, content in files(tmp_path / "in").items()}
    killed_after(1, changing, output)
    # The first unit is read: what becomes of its files is no matter.
    os.remove(tmp_path / "in" / "00.png")
    write_folder(tmp_path / "in", {"new.png": png(99, 20, 20), "01.png": png(99, 30, 30)})
    start(changing, output)
    told = capsys.readouterr().err
    assert "since this was begun, 1 files came, 1 went and 1 were replaced" in told
    rows = listed(output)
    assert {name: int(row["bytes"]) for name, row in rows.items()} == before
    assert {row["status"] for row in rows.values()} == {"kept"}


@pytest.mark.parametrize("removed", ["work", "work/begun.json"])
def test_without_a_recorded_list_nothing_of_an_earlier_one_is_taken_for_done(
    removed, tmp_path, in_turn
):
    changing, output = twenty(tmp_path / "in", first=50), tmp_path / "out"
    flags = ["--encoding=raw", "--short_side=20", "--validation_share=0.2"]

    def dying(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(preparing, "write_report", dying)
        start(changing, output, *flags)
    assert list(output.glob("train-*.tfrecord"))
    remove(output / removed)
    twenty(tmp_path / "in")  # of the same names
    start(changing, output, *flags)
    start(changing, tmp_path / "new", *flags)
    ours, new = files(output), files(tmp_path / "new")
    ours.pop("flags.txt"), new.pop("flags.txt")
    assert ours == new


@pytest.mark.parametrize(
    "file, removed",
    [("listing/000001", "."), ("begun", "."), ("facts/000000", "facts/000000.json")],
)
def test_of_a_damaged_file_of_the_work_the_way_out_leads_out(
    file, removed, tmp_path, capsys, in_turn
):
    folder, output = twenty(tmp_path / "in"), tmp_path / "out"
    killed_after(1, folder, output)
    (output / "work" / f"{file}.json").write_text("3")
    told = fails(capsys, folder, output)
    assert told.endswith(f"remove {output / 'work' / removed}, and start the same command again")
    remove(output / "work" / removed)
    start(folder, output)
    assert len(listed(output)) == 20


@pytest.mark.parametrize("name", ["08.png", "19.png"])
def test_a_file_that_went_or_was_replaced_before_it_was_read_ends_the_work(
    name, tmp_path, capsys, in_turn
):
    changing, output = twenty(tmp_path / "in"), tmp_path / "out"
    killed_after(1, changing, output)
    path, content = tmp_path / "in" / name, files(tmp_path / "in")[name]
    size = len(content)
    path.write_bytes(content + b"0")
    told = fails(capsys, changing, output)
    assert f"{name} is not as it was when this was begun ({size} bytes then, {size + 1} b" in told
    path.unlink()
    assert f"({size} bytes then, absent now): bring it back" in fails(capsys, changing, output)
    path.write_bytes(content)
    start(changing, output)
    assert {row["status"] for row in listed(output).values()} == {"kept"}


def test_a_disk_that_goes_away_and_leaves_an_empty_folder(tmp_path, capsys, in_turn, monkeypatch):
    mount, output, write = twenty(tmp_path / "mount"), tmp_path / "out", work_files.write
    start(mount, tmp_path / "undisturbed")

    def unmounting(path, value):
        write(path, value)
        if path.parent.name == "facts" and path.name == "000000.json":
            (tmp_path / "mount").rename(tmp_path / "disk")
            (tmp_path / "mount").mkdir()

    with monkeypatch.context() as patch:
        patch.setattr(work_files, "write", unmounting)
        assert "mount/08.png is not as it was" in fails(capsys, mount, output)
    assert "holds no image" in fails(capsys, mount, output)
    (tmp_path / "mount").rmdir()
    (tmp_path / "disk").rename(tmp_path / "mount")
    start(mount, output)
    ours, theirs = files(output), files(tmp_path / "undisturbed")
    for name in theirs.keys() - {"flags.txt", "report.html"}:
        assert ours[name] == theirs[name], name


def test_another_folder_of_the_same_name_is_refused(tmp_path, capsys, in_turn, monkeypatch):
    output = tmp_path / "out"
    for number, place in enumerate("ab"):
        twenty(tmp_path / place / "photos", 100 * number)
    monkeypatch.chdir(tmp_path / "a")
    killed_after(1, "photos", output)
    monkeypatch.chdir(tmp_path / "b")
    told = fails(capsys, "photos", output)
    assert f"was begun with the files in {tmp_path}/a/photos, --input=photos has those in" in told
    monkeypatch.chdir(tmp_path / "a")
    start("photos", output)
    monkeypatch.chdir(tmp_path / "b")
    told = fails(capsys, "photos", output)
    assert f"is complete, with the files in {tmp_path}/a/photos; --input=photos has those" in told
    digests = {row["id"]: row["sha256"] for row in listed(output).values()}
    assert digests == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in files(tmp_path / "a" / "photos").items()
    }


def test_a_file_that_never_was_there_is_left_out(tmp_path, in_turn):
    write_folder(tmp_path, {"a.png": png(0, 20, 20), "list": b"a.png\nb.png\n"})
    start(tmp_path / "list", tmp_path / "out")
    rows = listed(tmp_path / "out")
    assert (rows["a.png"]["status"], rows["b.png"]["status"]) == ("kept", "unreadable")
    assert rows["b.png"]["reason"] == "No such file or directory"


def test_a_list_of_files(tmp_path, capsys, in_turn):
    write_folder(tmp_path / "in", {f"{c}/{n}.png": png(n, 20, 20) for c in "ab" for n in range(4)})
    # As an editor of Windows writes it.
    (tmp_path / "in" / "some.txt").write_bytes(b"\xef\xbb\xbfa/0.png\r\nb/1.png\r\n\r\nb/2.png\r\n")
    start(tmp_path / "in" / "some.txt", tmp_path / "out", "--validation_share=0")
    found = records(tmp_path / "out", "train")
    assert {key: r["label"] for key, r in found.items()} == {
        "a/0.png": 0,
        "b/1.png": 1,
        "b/2.png": 1,
    }


def test_classes_of_a_list_that_differ_in_case_are_told(tmp_path, capsys):
    write_folder(tmp_path / "in", {f"{name}/0.png": b"" for name in ("cat", "Dog", "dog")})
    write_list(tmp_path / "in" / "some.txt", ["cat/0.png", "Dog/0.png", "dog/0.png"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: --input=") and "form alone: Dog and dog; rename" in line


def test_a_line_beside_the_folders_takes_the_classes_of_a_list_which_is_told(tmp_path, capsys):
    write_folder(tmp_path / "in", {"cat/0.png": b"", "dog/0.png": b""})
    files = write_list(tmp_path / "in" / "some.txt", ["path", "cat/0.png", "dog/0.png"])
    assert files.classes == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 images lie beside the folders (path), so the images have no classes" in line


def test_a_list_may_have_odd_names_and_what_is_no_file(tmp_path, in_turn):
    odd = ["two\u2028lines.png", "page\x0c.png", " spaces .png "]
    write_folder(tmp_path / "in", {name: png(n, 20, 20) for n, name in enumerate(odd)})
    os.mkfifo(tmp_path / "in" / "pipe.png")
    (tmp_path / "in" / "some.txt").write_text("\n".join([*odd[:2], f"{odd[2]}\r", "  pipe.png "]))
    start(tmp_path / "in" / "some.txt", tmp_path / "out", "--validation_share=0")
    rows = listed(tmp_path / "out")
    assert {name: row["status"] for name, row in rows.items() if row["status"] == "kept"} == {
        name: "kept" for name in odd
    }
    assert rows["pipe.png"]["reason"] == "it is no regular file"


def write_list(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return collect(str(path), "out")


@pytest.mark.parametrize("place", ["in", "in/a", ".", "elsewhere/far"])
def test_a_list_of_absolute_paths_is_the_same_wherever_it_lies(place, tmp_path, capsys):
    write_folder(tmp_path / "in", {f"{c}/{n}.png": png(n) for c in "ab" for n in range(2)})
    names = [f"{c}/{n}.png" for c in "ab" for n in range(2)]
    found = write_list(tmp_path / place / "list", [f"{tmp_path}/in/{name}" for name in names])
    assert (found.root, found.paths, found.classes) == (f"{tmp_path}/in", names, ["a", "b"])
    assert None not in found.sizes and capsys.readouterr().err == ""
    found = write_list(tmp_path / place / "list", [f"{tmp_path}/in/b/{n}.png" for n in range(2)])
    assert (found.root, found.paths, found.classes) == (
        f"{tmp_path}/in/b", ["0.png", "1.png"], [],
    )  # fmt: skip


def test_folders_of_splits_are_told(tmp_path, capsys):
    write_folder(tmp_path / "in", {"train/a/0.png": png(0), "test/a/0.png": png(1)})
    found = collect(str(tmp_path / "in"), str(tmp_path / "out"))
    assert found.classes == ["test", "train"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "has only the folders test, train, which are taken for classes" in line
    assert line.endswith("prepare each of them by itself")


def test_a_list_of_relative_paths(tmp_path, capsys):
    write_folder(tmp_path / "in", {f"{c}/{n}.png": png(n) for c in "ab" for n in range(2)})
    found = write_list(tmp_path / "in" / "list", ["a/0.png", "a/../a/1.png"])
    assert (found.paths, found.classes) == (["a/0.png", "a/1.png"], ["a"])
    told = "all images lie in the folder a, which is their one class"
    assert told in capsys.readouterr().err
    # Some lead out of the folder of the list.
    found = write_list(tmp_path / "in" / "a" / "list", ["0.png", "../b/0.png"])
    assert (found.root, found.paths) == (f"{tmp_path}/in", ["a/0.png", "b/0.png"])


def test_a_list_that_leads_up_behind_a_link(tmp_path):
    """As the system opens it; a link that nothing leads up from keeps its name."""
    write_folder(tmp_path, {"in/a.png": png(0), "real/a.png": png(1), "real/deep/b.png": png(2)})
    (tmp_path / "in" / "ln").symlink_to(tmp_path / "real" / "deep")
    found = write_list(tmp_path / "in" / "list", ["ln/../a.png", "../in/ln/b.png"])
    assert (found.root, found.paths) == (str(tmp_path), ["in/ln/b.png", "real/a.png"])


def test_relative_and_absolute_paths_in_one_list(tmp_path):
    write_folder(tmp_path / "in", {f"{c}/{n}.png": png(n) for c in "ab" for n in range(2)})
    mixed = ["a/0.png", f"{tmp_path}/in/b/0.png"]
    found = write_list(tmp_path / "in" / "list", mixed)
    assert (found.root, found.paths) == (f"{tmp_path}/in", ["a/0.png", "b/0.png"])
    with pytest.raises(UserError, match="1 images by absolute paths and 1 by relative ones"):
        write_list(tmp_path / "in" / "a" / "list", ["0.png", mixed[1]])


def test_names_of_any_bytes(tmp_path, in_turn):
    names = [b"\xff.png", "größe\n1.png".encode(), b'"quoted", name.png']
    (tmp_path / "in").mkdir()
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(tmp_path / "in"), name), "wb") as file:
            file.write(png(number, 20, 20))
    start(tmp_path / "in", tmp_path / "out", "--validation_share=0")
    source = source_of(prepared=str(tmp_path / "out"))
    assert {r["id"] for r in source.sequence().as_numpy_iterator()} == set(names)
    assert listed(tmp_path / "out").keys() == set(map(os.fsdecode, names))


@pytest.mark.parametrize("encoding, largest", [("png", 0), ("raw", 0), ("jpeg", 60)])
def test_every_encoding_gives_the_pixels(encoding, largest, tmp_path, in_turn):
    images = {f"{n}.bmp": picture(n, 16, 20 + n) for n in range(5)}
    write_folder(
        tmp_path / "in", {name: saved(Image.fromarray(i), "bmp") for name, i in images.items()}
    )
    quality = ["--quality=100"] if encoding == "jpeg" else []
    start(tmp_path / "in", tmp_path / "out", f"--encoding={encoding}", *quality,
          "--validation_share=0")  # fmt: skip
    found = records(tmp_path / "out", "train")
    for name, image in images.items():
        decoded = pixels(tf.constant(found[name]["image"])).numpy().astype(int)
        assert decoded.shape == image.shape and np.abs(decoded - image).mean() <= largest


@pytest.mark.parametrize(
    "duplicates, kept", [("keep", 4), ("drop_exact", 3), ("drop_near", 2)]
)  # fmt: skip
def test_duplicates_are_kept_or_dropped(duplicates, kept, tmp_path, in_turn):
    image = Image.fromarray(picture(1, 9, 12)).resize((48, 36))
    write_folder(tmp_path / "in", {
        "a.png": saved(image, "png"), "b.png": saved(image, "png"), "c.tif": saved(image, "tiff"),
        "d.png": png(5, 30, 30),
    })  # fmt: skip
    start(tmp_path / "in", tmp_path / "out", f"--duplicates={duplicates}", "--validation_share=0")
    assert len(records(tmp_path / "out", "train")) == kept
    rows = listed(tmp_path / "out")
    assert (rows["b.png"]["same_as"], rows["c.tif"]["looks_like"]) == ("a.png", "a.png")


def test_classes_without_an_image_and_labels_that_contradict_are_told(tmp_path, capsys, in_turn):
    images = {f"{n}.png": png(n, 20, 24) for n in range(4)}
    write_folder(tmp_path / "in", {
        **{f"cat/{name}": content for name, content in images.items()},
        **{f"dog/{name}": content for name, content in images.items()},
        "eel/a.png": png(9, 3, 3), "fox/a.png": png(8, 20, 24),
    })  # fmt: skip
    start(tmp_path / "in", tmp_path / "out", "--validation_share=0")
    told = capsys.readouterr().err
    assert "warning: 2 classes have no image that is kept: dog, eel\n" in told
    assert "warning: 8 images look like one of another class (images.csv: class, same_as" in told
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["alike in several classes"] == 8


def write_fade(folder, count=41):
    """Frames between two photographs: all are linked, the ends are not alike."""
    first, last = (Image.fromarray(picture(seed, 9, 12)).resize((96, 72)) for seed in (1, 2))
    return write_folder(folder, {
        f"{n:02}.png": saved(Image.blend(first, last, n / (count - 1)), "png") for n in range(count)
    })  # fmt: skip


def test_frames_that_look_like_none_that_is_kept_are_kept(tmp_path, in_turn):
    flags = ("--duplicates=drop_near", "--validation_share=0.4")
    start(write_fade(tmp_path / "in"), tmp_path / "out", *flags)
    rows = listed(tmp_path / "out")
    kept = {name for name, row in rows.items() if row["status"] == "kept"}
    assert "00.png" in kept and 2 < len(kept) < 41
    assert all(row["looks_like"] in kept for name, row in rows.items() if name not in kept)
    # They are one group all the same: none of them judges what was learned of the next one.
    assert {rows[name]["split"] for name in kept} == {"train"}


@pytest.mark.parametrize("shards", ["--shard_mib=64", "--encoding=raw"])
def test_record_files_of_another_choice_are_made_anew(shards, tmp_path, in_turn, monkeypatch):
    """As of an earlier version, which kept one image of all that are linked."""
    folder, output = write_fade(tmp_path / "in"), tmp_path / "out"
    flags = ("--duplicates=drop_near", "--validation_share=0", shards)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(choosing.LookAlikes, "stand_ins", choosing.LookAlikes.groups)
        patch.setattr(preparing, "write_report", die)
        with pytest.raises(SystemExit):
            start(folder, output, *flags)
    assert len(list(output.glob("train-*.tfrecord"))) == 1
    start(folder, output, *flags)
    kept = {name for name, row in listed(output).items() if row["status"] == "kept"}
    assert set(records(output, "train")) == kept and len(kept) > 2


def test_one_image(tmp_path, in_turn):
    start(write_folder(tmp_path / "in", {"a.png": png(0, 20, 20)}), tmp_path / "out")
    assert list(records(tmp_path / "out", "train")) == ["a.png"]
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_bad_inputs_are_one_line_each(tmp_path, capsys, in_turn):
    output = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    assert "empty holds no image" in fails(capsys, tmp_path / "empty", output)
    assert "nowhere does not exist" in fails(capsys, tmp_path / "nowhere", output)
    (tmp_path / "blank.txt").write_text("\n")
    assert "names no file" in fails(capsys, tmp_path / "blank.txt", output)
    good = write_folder(tmp_path / "good", {"a.png": png(0, 20, 20)})
    assert "give a directory outside" in fails(capsys, good, f"{good}/out")
    # As the command line gives bytes that are no UTF-8, which flags.txt cannot hold.
    assert r"--input=caf\udce9: must be text in UTF-8" in fails(capsys, "caf\udce9", output)
    (tmp_path / "file").touch()
    assert "cannot be written (Not a directory)" in fails(capsys, good, tmp_path / "file" / "out")
    write_folder(tmp_path / "other", {"precious.txt": b"x"})
    assert "is no preparation" in fails(capsys, good, tmp_path / "other")
    assert not output.exists() and files(tmp_path / "other") == {"precious.txt": b"x"}


def test_only_unreadable_files_are_one_line_and_may_be_mended(tmp_path, capsys, in_turn):
    folder = write_folder(tmp_path / "in", {"a.jpg": b"", "b.jpg": JPEG[:100]})
    told = fails(capsys, folder, tmp_path / "out")
    assert "none of 2 images can be prepared; the first is a.jpg: unreadable, no image" in told
    write_folder(tmp_path / "in", {"a.jpg": JPEG})
    start(folder, tmp_path / "out")
    assert list(records(tmp_path / "out", "train")) == ["a.jpg"]


def test_a_full_disk_loses_nothing(tmp_path, capsys, in_turn):
    folder = write_folder(tmp_path / "in", {f"{n:02}.png": png(n, 40, 40) for n in range(9)})
    flags = ["--short_side=40", "--encoding=png"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        told = fails(capsys, folder, tmp_path / "out", *flags)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "000000.bin is not written (File too large): make room" in told
    assert not list((tmp_path / "out" / "work" / "facts").iterdir())
    start(folder, tmp_path / "out", *flags, "--validation_share=0.1")
    assert len(records(tmp_path / "out", "train")) == 8


def test_a_disk_that_fails_ends_the_work_and_is_no_property_of_the_image(
    tmp_path, capsys, in_turn, monkeypatch
):
    folder = write_folder(tmp_path / "in", {"a.png": png(0, 20, 20)})
    from ssl_tf.preparation import image_units

    def failing(content):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(image_units, "open_image", failing)
        fails(capsys, folder, tmp_path / "out")
    start(folder, tmp_path / "out")
    assert list(records(tmp_path / "out", "train")) == ["a.png"]


def test_short_memory_ends_the_work_and_is_no_property_of_the_image(
    tmp_path, capsys, in_turn, monkeypatch
):
    folder = write_folder(tmp_path / "in", {"a.png": png(0, 20, 20)})
    from ssl_tf.preparation import image_units

    def failing(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(image_units, "as_seen", failing)
        told = fails(capsys, folder, tmp_path / "out")
    assert "a.png takes more memory than there is; give fewer --workers" in told
    start(folder, tmp_path / "out")
    assert list(records(tmp_path / "out", "train")) == ["a.png"]


def test_a_header_of_odd_files_reaches_the_report(tmp_path, capsys, in_turn):
    names = ["gif, animation", "png, 12 bits", "jpeg, profile", "tiff, floats", "png, half alpha"]
    ends = {"gif": "gif", "png": "png", "jpeg": "jpg", "tiff": "tif"}
    write_folder(tmp_path / "in", {
        f"{n}.{ends[name.split(',')[0]]}": SEEN[name][0] for n, name in enumerate(names)
    })  # fmt: skip
    start(tmp_path / "in", tmp_path / "out")
    told = capsys.readouterr().err
    assert "1 images have transparency, which is #ffffff here; --image" in told
    assert "1 images have a colour profile, by which they are made sRGB here; --image" in told
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["format"] == {"PNG": 2, "GIF": 1, "JPEG": 1, "TIFF": 1}
    assert report["mode"] == {"P": 1, "I;16": 1, "RGB": 1, "F": 1, "RGBA": 1}
    assert report["special"] == {"several": 1, "profile": 1, "turned": 0, "transparent": 1}
    assert report["short side"] == {"up to 32": 5} and report["median short side"] == 24


def test_a_preparation_that_was_moved_goes_on_by_its_own_flags(
    in_turn, tmp_path, monkeypatch, capsys
):
    folder = write_folder(tmp_path / "images", {"a.png": png(picture(20, 20, 1))})
    start(folder, tmp_path / "out")
    capsys.readouterr()
    (tmp_path / "sub").mkdir()
    (tmp_path / "out").rename(tmp_path / "sub" / "moved")
    monkeypatch.chdir(tmp_path / "sub")
    command.run(prepare.main, PrepareSettings, ["--flagfile=moved/flags.txt"])
    assert "moved is complete" in capsys.readouterr().err
    start(folder, "moved")
    assert "moved is complete" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
