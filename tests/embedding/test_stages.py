"""An embedding as a user makes it: once, after a kill, with other formats, with wrong inputs."""

import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from ssl_tf import command, embed
from ssl_tf.embedding import stages
from ssl_tf.embedding.encoding import done_path
from ssl_tf.embedding.table_files import rows_path
from ssl_tf.locks import exclusive
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import TABLE_FORMATS, EmbedSettings, PretrainSettings, flagfiles
from ssl_tf.sharding.running import run_shards
from ssl_tf.training import begun_output
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.run_directory import CHECKPOINTS
from ssl_tf.weights.torch_names import to_torch, torch_variables
from tests.data.prepared_tfds import prepare_several
from tests.data.tiny_images import example, png, write_folder, write_records
from tests.embedding.conftest import SIDE, expected, export
from tests.preparation import odd_files

SMALL = ("--shard_images=8", "--batch_size=4")
NO_REPORT = "--report_images=0"
ALL = "--format=parquet,numpy,tfrecord"


def start(encoder, output, *flags):
    flags = [*SMALL, f"--encoder={encoder}", f"--output={output}", *flags]
    command.run(embed.main, EmbedSettings, flags)


def refused(capsys, *arguments):
    """The line of a start that fails, and its exit code."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        start(*arguments)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    return told[0], stopped.value.code


def table(output):
    """All rows of the NumPy shards."""
    shards = [np.load(path) for path in sorted((output / "numpy").iterdir())]
    return {name: np.concatenate([s[name] for s in shards]) for name in shards[0].files}


def content(output):
    """The bytes of the table and of all that says what it is."""
    found = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        if path.is_file() and name.split("/")[0] in (*TABLE_FORMATS, "done", stages.MANIFEST):
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def done(exported, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("embedding") / "out"
    start(exported, output, f"--image_folder={folder}", ALL, "--queries=3")
    return output


def test_rows_are_the_images_in_their_order(done, folder):
    rows = table(done)
    assert rows["features"].dtype == np.float32
    np.testing.assert_array_equal(rows["index"], np.arange(23))
    assert rows["id"][[0, 22]].tolist() == ["cat/00.png", "dog & <b>/10.png"]
    assert rows["path"][0] == str(folder / "cat" / "00.png")
    np.testing.assert_array_equal(rows["label"], [0] * 12 + [1] * 11)
    np.testing.assert_allclose(
        rows["features"], [expected(number) for number in range(23)], atol=1e-6
    )


def test_the_formats_hold_the_same_rows(done):
    rows = table(done)
    parquet = pq.read_table(done / "parquet")
    assert parquet.column("id").to_pylist() == rows["id"].tolist()
    assert parquet.column("label").to_pylist() == rows["label"].tolist()
    features = np.array(parquet.column("features").to_pylist(), np.float32)
    np.testing.assert_array_equal(features, rows["features"])
    assert [len(list((done / name).iterdir())) for name in TABLE_FORMATS] == [3, 3, 3]
    manifest = json.loads((done / "embeddings.json").read_text())
    assert (manifest["images"], manifest["rows"], manifest["features"]) == (23, 23, 6)
    assert manifest["classes"] == ["cat", "dog & <b>"]


class Page(HTMLParser):
    """What a page refers to, its cells, and the names of its tags."""

    def __init__(self, text):
        super().__init__()
        self.links, self.texts, self.tags = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_shows_what_lies_beside_it(done):
    page = Page((done / "report.html").read_text())
    assert {"neighbours.png", "map.png"} <= set(page.links)
    assert all((done / link).is_file() for link in page.links)
    assert "b" not in page.tags  # the name of a folder is text
    assert any("23, 0 of them unreadable" in text for text in page.texts)


def test_a_run_gives_the_features_of_its_encoder(folder, tmp_path):
    run = tmp_path / "run"
    flags = ["--dataset=none", "--depth=18", "--width=0.0625", "--stem=small", "--image_size=16"]
    settings = flagfiles.parse(flags, PretrainSettings)
    run.mkdir()
    flagfiles.write_flagfile(settings, run / "flags.txt")
    encoder = build_encoder(settings.model, 5)
    Checkpoints(run / CHECKPOINTS, keep=1, encoder=encoder).save(7)
    output = tmp_path / "out"
    start(
        run, output, f"--image_folder={folder}", "--format=numpy", NO_REPORT, f"--image_size={SIDE}"
    )
    import tensorflow as tf

    from ssl_tf.networks.normalization import normalize_images

    images = np.stack([tf.io.decode_png(png(number, SIDE, SIDE)) for number in range(23)])
    np.testing.assert_allclose(
        table(output)["features"], encoder(normalize_images(images)), rtol=1e-4, atol=1e-5
    )
    assert json.loads((output / "encoder.json").read_text())["origin"] == f"step 7 of {run}"
    # The same weights in a file of others are the same encoder.
    tensors = {name: to_torch(v.numpy()) for name, v in torch_variables(encoder).items()}
    save_file(tensors, tmp_path / "a.safetensors")
    flags = (f"--image_folder={folder}", "--format=numpy", NO_REPORT, f"--image_size={SIDE}")
    before = content(output)
    start("", tmp_path / "other", f"--init_encoder={tmp_path}/a.safetensors", *flags)
    written = content(tmp_path / "other")
    assert {k: v for k, v in written.items() if k != stages.MANIFEST} == {
        k: v for k, v in before.items() if k != stages.MANIFEST
    }


def test_images_that_were_replaced_give_no_old_features(exported, folder, tmp_path, capsys):
    images, output = tmp_path / "images", tmp_path / "out"
    shutil.copytree(folder, images)
    flags = (f"--image_folder={images}", "--format=numpy", NO_REPORT)
    start(exported, output, *flags)
    (images / "cat/03.png").write_bytes(png(99, SIDE, 2 * SIDE))
    told, _ = refused(capsys, exported, output, *flags)
    assert "the embedded images are not those of the first start (files or annotations" in told
    assert told.endswith("; put the data back, or give a new --output")
    start(exported, tmp_path / "new", *flags)
    changed = (table(output)["features"] != table(tmp_path / "new")["features"]).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [3]


@pytest.fixture
def workers_in_turn(monkeypatch):
    """Two workers one after another, in this process; what happens between their starts."""
    between = []

    def run(stage, prepare, paths, sizes, unit, **_):
        works = [prepare()]
        for act in between:
            act()
        works.append(prepare())
        for number, path in enumerate(paths):
            if not path.exists():
                works[number % 2](number)

    monkeypatch.setattr(stages, "run_shards", run)
    return between


def test_a_worker_refuses_images_that_came_since_the_start(
    exported, folder, tmp_path, capsys, workers_in_turn
):
    images, output = tmp_path / "images", tmp_path / "out"
    shutil.copytree(folder, images)
    flags = (f"--image_folder={images}", "--format=numpy", NO_REPORT, "--workers=2")
    workers_in_turn.append(lambda: (images / "cat/000.png").write_bytes(png(99, SIDE, SIDE)))
    told, code = refused(capsys, exported, output, *flags)
    assert "the embedded images are not those of the first start (count 23 there, 24 here" in told
    assert told.endswith("put the data back, or give a new --output") and code == 1
    assert not list((output / "numpy").iterdir())
    workers_in_turn.clear()
    (images / "cat/000.png").unlink()
    start(exported, output, *flags)
    assert table(output)["index"].tolist() == list(range(23))


def test_a_worker_compares_images_and_encoder_once(
    exported, folder, tmp_path, monkeypatch, capsys, workers_in_turn
):
    output, flags = tmp_path / "out", (f"--image_folder={folder}", NO_REPORT, "--workers=2")
    compared = []

    def keep_data(directory, sources, way_out):
        compared.append(directory)

    monkeypatch.setattr(begun_output, "keep_data", keep_data)
    start(exported, output, *flags)
    assert compared == [output] * 2
    shutil.rmtree(output)
    shutil.copytree(exported, tmp_path / "encoder")
    workers_in_turn.append(lambda: shutil.rmtree(tmp_path / "encoder"))
    workers_in_turn.append(lambda: export(tmp_path / "encoder", weight=2.0))
    told, _ = refused(capsys, tmp_path / "encoder", output, *flags)
    assert "are of another encoder" in told


@pytest.mark.parametrize("record", ["data.json", "encoder.json"])
def test_a_worker_that_does_not_see_the_records_writes_none(
    record, exported, folder, tmp_path, capsys, workers_in_turn
):
    output = tmp_path / "out"
    workers_in_turn.append((output / record).unlink)
    told, _ = refused(
        capsys, exported, output, f"--image_folder={folder}", NO_REPORT, "--workers=2"
    )
    assert f"{record} is not there, which tells what this was begun with; let every" in told
    assert not (output / record).exists()


def test_an_unreadable_image_has_no_row_and_is_named(exported, folder, tmp_path, capsys):
    images, output = tmp_path / "images", tmp_path / "out"
    shutil.copytree(folder, images)
    (images / "cat" / "05.png").write_bytes(b"no image")
    (images / "dog & <b>" / "00.png").write_bytes(b"")
    start(exported, output, f"--image_folder={images}", ALL, "--map_projection=pca")
    told = capsys.readouterr().err
    assert "cat/05.png, it gets no features" in told
    assert "2 unreadable images have no row: cat/05.png, dog & <b>/00.png" in told
    rows, kept = table(output), [n for n in range(23) if n not in (5, 12)]
    np.testing.assert_array_equal(rows["index"], kept)
    np.testing.assert_allclose(rows["features"], [expected(n) for n in kept], atol=1e-6)
    assert (output / "unreadable.csv").read_text() == (
        "index,id\n5,cat/05.png\n12,dog & <b>/00.png\n"
    )
    assert "dog & <b>/00.png" in Page((output / "report.html").read_text()).texts
    # What an earlier start found is counted, too.
    line, code = refused(
        capsys, exported, output, f"--image_folder={images}", "--max_bad_images=1", NO_REPORT
    )
    assert "2 unreadable images have no row" in line and "--max_bad_images" in line and code == 1


def test_without_any_readable_image_there_is_one_line(exported, tmp_path, capsys):
    write_folder(tmp_path / "images", {f"{n}.png": b"no" for n in range(3)})
    line, code = refused(
        capsys, exported, tmp_path / "out", f"--image_folder={tmp_path}/images", NO_REPORT
    )
    assert "no image of folder" in line and "can be decoded: 0.png, 1.png, 2.png" in line
    assert code == 1


def test_a_killed_embedding_ends_with_the_same_bytes(done, exported, folder, tmp_path):
    output = tmp_path / "out"
    flags = [*SMALL, f"--encoder={exported}", f"--output={output}", f"--image_folder={folder}", ALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl_tf.embed", *flags, NO_REPORT], stderr=subprocess.DEVNULL
    )
    while not done_path(output, 0).exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    # As if the kill had come inside of the last shard, wherever it came.
    done_path(output, 2).unlink(missing_ok=True)
    (output / "numpy").mkdir(exist_ok=True)
    rows_path(output, "numpy", 2).write_bytes(b"half")
    (output / "numpy" / "000002.npz.77.writing").write_bytes(b"half")
    kept = rows_path(output, "numpy", 0).stat().st_mtime_ns
    start(exported, output, f"--image_folder={folder}", ALL, NO_REPORT)
    assert rows_path(output, "numpy", 0).stat().st_mtime_ns == kept
    assert content(output) == content(done) and len(content(done)) == 3 * 4 + 1


def test_a_run_that_has_gone_on_keeps_the_encoder_of_the_first_start(folder, tmp_path, capsys):
    run, output, images = tmp_path / "run", tmp_path / "out", f"--image_folder={folder}"
    flags = ["--dataset=none", "--depth=18", "--width=0.0625", "--stem=small", "--image_size=16"]
    settings = flagfiles.parse(flags, PretrainSettings)
    run.mkdir()
    flagfiles.write_flagfile(settings, run / "flags.txt")
    encoder = build_encoder(settings.model, 5)
    checkpoints = Checkpoints(run / CHECKPOINTS, keep=2, encoder=encoder)
    checkpoints.save(7)
    start(run, output, images, "--format=numpy", NO_REPORT)
    features = table(output)["features"]
    for variable in encoder.trainable_variables:
        variable.assign(2 * variable)
    checkpoints.save(8)
    done_path(output, 1).unlink()
    rows_path(output, "numpy", 1).unlink()
    start(run, output, images, "--format=numpy", NO_REPORT)
    np.testing.assert_array_equal(table(output)["features"], features)
    checkpoints.save(9)  # and 7 is gone
    start(run, output, images, ALL, NO_REPORT)
    assert "has no checkpoint of --step=7" in capsys.readouterr().err
    assert len(pq.read_table(output / "parquet")) == len(features)
    # Whatever is complete, it is of that run at that step.
    other = tmp_path / "other"
    shutil.copytree(run, other)
    told = refused(capsys, other, output, images, NO_REPORT)[0]
    assert f"of another encoder (step 7 of {run}), not of step 9 of {other}; give that" in told
    assert "is no run directory" in refused(capsys, tmp_path / "gone", output, images)[0]
    assert "no checkpoint of --step=6" in refused(capsys, run, output, images, "--step=6")[0]
    done_path(output, 1).unlink()
    assert "has no checkpoint of --step=7" in refused(capsys, run, output, images, NO_REPORT)[0]


def test_hidden_labels_are_no_column(exported, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stages, "labels_are_hidden", lambda source: source.num_classes == 2)
    start(exported, tmp_path / "out", f"--image_folder={folder}", "--format=numpy")
    assert "its labels are not public, the table has none" in capsys.readouterr().err
    assert sorted(table(tmp_path / "out")) == ["features", "id", "index", "path"]
    assert "cluster (k-means)" in (tmp_path / "out" / "report.html").read_text()


def test_workers_give_the_same_bytes_in_any_order(done, exported, folder, tmp_path):
    output = tmp_path / "out"
    flags = [*SMALL, f"--encoder={exported}", f"--output={output}", f"--image_folder={folder}", ALL]
    settings = flagfiles.parse([*flags, NO_REPORT], EmbedSettings)
    (output / "done").mkdir(parents=True)
    for name in ("data.json", "encoder.json"):
        shutil.copy(done / name, output)
    prepare = functools.partial(stages._prepare, settings)
    prepare()(2)
    paths = [done_path(output, number) for number in range(3)]
    sizes = np.array([8, 8, 7])
    run_shards("done", prepare, paths, sizes, "images", log=tmp_path / "log", workers=1)
    assert content(output) == {k: v for k, v in content(done).items() if k != stages.MANIFEST}


def test_a_format_is_added_without_the_encoder(done, exported, folder, tmp_path, monkeypatch):
    output = tmp_path / "out"
    start(exported, output, f"--image_folder={folder}", "--format=tfrecord", NO_REPORT)
    monkeypatch.setattr(stages, "embed_shards", None)
    start(exported, output, f"--image_folder={folder}", ALL, NO_REPORT)
    assert content(output) == content(done)


def test_every_format_that_was_begun_is_complete_and_listed(
    done, exported, folder, tmp_path, monkeypatch
):
    output, images = tmp_path / "out", f"--image_folder={folder}"
    write = stages.embed_shards

    def first_shard(numbers, *others):
        write(range(1), *others)
        raise KeyboardInterrupt

    def nothing(*others):
        raise KeyboardInterrupt

    for name, stop in (("numpy", first_shard), ("tfrecord", nothing)):
        with monkeypatch.context() as patch:
            patch.setattr(stages, "embed_shards", stop)
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                start(exported, output, images, f"--format={name}", NO_REPORT)
    assert [path.name for path in (output / "numpy").iterdir()] == ["000000.npz"]
    start(exported, output, images, "--format=parquet", NO_REPORT)
    assert json.loads((output / "embeddings.json").read_text())["formats"] == [*TABLE_FORMATS]
    assert content(output) == content(done)
    # Nor does a later command forget what is there.
    start(exported, output, images, "--format=numpy", NO_REPORT)
    assert content(output) == content(done)


def test_record_files_without_labels(exported, tmp_path):
    records = [example(image__encoded=png(n, SIDE, SIDE), image__id=b"%d" % n) for n in range(5)]
    files = write_records(tmp_path / "a.tfrecord", records)
    output = tmp_path / "out"
    flags = (f"--tfrecord={files}", "--format=numpy", "--feature_dtype=float16")
    start(exported, output, *flags, "--map_projection=pca")
    rows = table(output)
    assert sorted(rows) == ["features", "id", "index"] and rows["features"].dtype == np.float16
    assert rows["id"].tolist() == ["0", "1", "2", "3", "4"]
    half = np.array([expected(n) for n in range(5)]).astype(np.float16)
    np.testing.assert_allclose(rows["features"], half, rtol=2e-3)
    assert "cluster (k-means)" in (output / "report.html").read_text()


def test_labels_that_are_guessed_are_told_and_images_are_refused(exported, tmp_path, capsys):
    prepare_several(tmp_path)
    data, output = f"--data_dir={tmp_path}", tmp_path / "out"
    start(exported, output, "--dataset=toys", data, "--format=numpy", NO_REPORT)
    assert "and none is called label; the first is taken" in capsys.readouterr().err
    np.testing.assert_array_equal(table(output)["label"], np.arange(6) % 2)
    line, code = refused(capsys, exported, output, "--dataset=toys", data, "--label_feature=pose")
    assert "--label_feature= there, pose here" in line and code == 2
    line, code = refused(capsys, exported, tmp_path / "other", "--dataset=pairs", data)
    assert "none is called image; name one by --image_feature" in line and code == 2


def test_images_are_turned_by_the_flag_alone_and_told_for_an_encoder_that_learned_so(
    exported, tmp_path, capsys
):
    encoder = tmp_path / "encoder"
    shutil.copytree(exported, encoder)
    (encoder / "export.json").write_text(json.dumps({"image_size": SIDE, "orient": True}))
    mirrored = odd_files.saved(odd_files.SMOOTH, "jpeg", exif=odd_files.exif(2))
    images = f"--image_folder={write_folder(tmp_path / 'images', {'a.jpg': mirrored})}"
    halves, told = {}, {}
    for name, flags in (("stored", ()), ("upright", ("--orient",))):
        start(encoder, tmp_path / name, images, "--format=numpy", NO_REPORT, *flags)
        halves[name] = table(tmp_path / name)["features"].reshape(2, 3)
        told[name] = "the encoder learned from images that were" in capsys.readouterr().err
    assert told == {"stored": True, "upright": False}
    # Right and left change places.
    np.testing.assert_allclose(halves["upright"], halves["stored"][::-1], atol=0.02)
    assert np.abs(halves["upright"] - halves["stored"]).max() > 0.5


def test_one_image_has_a_report(exported, tmp_path):
    write_folder(tmp_path / "images", {"a.png": png(0, SIDE, SIDE)})
    start(exported, tmp_path / "out", f"--image_folder={tmp_path}/images")
    assert "nothing to compare it to" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "map.png").is_file()


def test_equal_images_are_told(exported, tmp_path):
    write_folder(tmp_path / "images", {f"{n}.png": png(0, SIDE, SIDE) for n in range(12)})
    start(exported, tmp_path / "out", f"--image_folder={tmp_path}/images")
    lines = (tmp_path / "out" / "near_duplicates.csv").read_text().splitlines()
    assert lines[0] == "cosine,index_a,id_a,index_b,id_b"
    assert lines[1] == "1.000000,0,0.png,1,1.png" and len(lines) == 1 + 12 * 11 // 2
    assert "66 pairs have a cosine" in (tmp_path / "out" / "report.html").read_text()


def test_other_flags_data_and_weights_are_refused(done, exported, folder, tmp_path, capsys):
    images = f"--image_folder={folder}"
    line, code = refused(capsys, exported, done, images, "--feature_dtype=float16")
    assert "--feature_dtype=float32 there, float16 here" in line and code == 2
    output = tmp_path / "out"
    shutil.copytree(done, output)
    other = export(tmp_path / "other", weight=2.0)
    line, code = refused(capsys, other, output, images)
    assert "another encoder" in line and str(other) in line and code == 1
    # The same weights at another place go on.
    shutil.copytree(exported, tmp_path / "copy")
    start(tmp_path / "copy", output, images, ALL, NO_REPORT)
    data = json.loads((output / "data.json").read_text())
    data["embedded"]["count"] = 22
    (output / "data.json").write_text(json.dumps(data))
    line, _ = refused(capsys, exported, output, images)
    assert "the embedded images are not those of the first start" in line
    with exclusive(output):
        line, _ = refused(capsys, exported, output, images)
    assert "is in use by process" in line


def test_wrong_encoders_and_sources_are_one_line(exported, folder, tmp_path, capsys):
    import tensorflow as tf

    output, images = tmp_path / "out", f"--image_folder={folder}"
    assert "--encoder, --init_encoder: give one of them" in refused(capsys, "", output, images)[0]
    assert "--output: give the directory" in refused(capsys, exported, "", images)[0]
    line, _ = refused(capsys, tmp_path / "nowhere", output, images)
    assert "is no run directory" in line
    (tmp_path / "encoder.keras").write_bytes(b"")
    line, _ = refused(capsys, tmp_path / "encoder.keras", output, images)
    assert "or an encoder without its run as --init_encoder" in line
    assert "has no steps" in refused(capsys, exported, output, images, "--step=3")[0]
    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"double": module.double})
    line, _ = refused(capsys, tmp_path / "other", output, images)
    assert "has no signature from images to features (it has double)" in line
    shutil.copytree(exported, tmp_path / "cut")
    (tmp_path / "cut" / "saved_model.pb").write_bytes(b"cut")
    assert "cannot be loaded" in refused(capsys, tmp_path / "cut", output, images)[0]
    (tmp_path / "empty").mkdir()
    line, _ = refused(capsys, exported, output, f"--image_folder={tmp_path}/empty")
    assert "holds no image" in line
    assert not output.exists()
    (tmp_path / "taken").write_text("")
    assert "exists and is no embedding" in refused(capsys, exported, tmp_path / "taken", images)[0]
    line, code = refused(capsys, exported, output, images, "--shard_images=10")
    assert "no multiple of --batch_size=4" in line and code == 2


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    done, exported, folder, tmp_path, capsys, monkeypatch
):
    output, images = tmp_path / "out", f"--image_folder={folder}"
    save = np.savez

    def full(file, **arrays):
        if arrays["index"][0] >= 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        line, code = refused(capsys, exported, output, images, ALL, NO_REPORT)
    assert "000001.npz is not written (No space left on device)" in line and code == 1
    start(exported, output, images, ALL, NO_REPORT)
    assert content(output) == content(done)


def test_a_missing_extra_is_one_line_with_the_ways_out(
    exported, folder, tmp_path, capsys, monkeypatch
):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name)
    )
    images = f"--image_folder={folder}"
    line, code = refused(capsys, exported, tmp_path / "out", images)
    assert "'.[embed]'" in line and "--map_projection=pca" in line and code == 2
    assert not (tmp_path / "out").exists()
    flags = [f"--encoder={exported}", f"--output={tmp_path}/out", images]
    for ways in (["--map_projection=pca"], [NO_REPORT]):
        embed.check_map(flagfiles.parse([*flags, *ways], EmbedSettings))


@pytest.mark.parametrize("number, message", [(np.nan, "not finite"), (1e5, "ends at 65504")])
def test_features_that_cannot_be_stored_are_one_line(number, message, folder, tmp_path, capsys):
    encoder = export(tmp_path / "encoder", weight=number)
    flags = (f"--image_folder={folder}", "--feature_dtype=float16", NO_REPORT)
    line, code = refused(capsys, encoder, tmp_path / "out", *flags)
    assert message in line and code == 1
