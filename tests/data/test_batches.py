import functools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data import decoding
from ssl_tf.data.batches import evaluation_batches, training_batches, transformed_batches
from ssl_tf.data.decoding import KnownImages
from ssl_tf.data.order import Steps, example_seed
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.memory import in_memory
from ssl_tf.data.sources.tfrecord import ExampleFiles
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.training.trainer import fit
from ssl_tf.views.evaluation_crop import evaluation_crop
from tests.data.tiny_images import example, picture, png, write_folder, write_records

each_kind = pytest.mark.parametrize(
    "opened", ["folder", "records of a small buffer"], indirect=True
)


def recipe(image: tf.Tensor, seed: tf.Tensor) -> dict:
    """What arrives: the mean of the image, the seed, and a random number, in two views."""
    mean = tf.reduce_mean(tf.cast(image, tf.float32))
    noise = tf.random.stateless_uniform([2], seed)
    return {"views": (tf.stack([mean, noise[0]]), tf.stack([mean, noise[1]])), "seed": seed}


def batches(source, start, stop, batch_size=4, limit=0, seed=9):
    source.unreadable = UnreadableImages(limit)
    made = training_batches(source, recipe, Steps(seed, batch_size, start, stop))
    return [tf.nest.map_structure(np.copy, batch) for batch in made.as_numpy_iterator()]


def assert_equal(these, those):
    assert len(these) == len(those)
    tf.nest.map_structure(np.testing.assert_array_equal, these, those)


@each_kind
def test_a_batch_holds_the_views_of_its_examples(source):
    made = batches(source, 0, 12)
    means = [picture(i).astype(np.float32).mean() for i in range(23)]
    identity = {
        record["index"]: int("".join(filter(str.isdigit, record["id"].decode()))[-2:])
        for record in source.sequence().as_numpy_iterator()
    }
    stream = list(source.stream(9, 0, 48).as_numpy_iterator())
    for step, batch in enumerate(made):
        for place, record in enumerate(stream[4 * step : 4 * step + 4]):
            seed = example_seed(9, record["epoch"], record["index"])
            np.testing.assert_array_equal(batch["seed"][place], seed)
            for view in batch["views"]:
                np.testing.assert_allclose(
                    view[place, 0], means[identity[record["index"]]], rtol=1e-5
                )
            noise = tf.random.stateless_uniform([2], seed)
            assert batch["views"][1][place, 1] == noise[1]


@each_kind
def test_the_number_of_batches_and_their_shape(source):
    made = training_batches(source, recipe, Steps(0, 5, 3, 17))
    assert made.element_spec["views"][0].shape.as_list() == [5, 2]
    assert len(list(made)) == 14


@each_kind
def test_a_run_may_start_at_any_step(source):
    whole = batches(source, 0, 14)
    for start in (5, 6):
        assert_equal(batches(source, start, 14), whole[start:])


@each_kind
def test_parallelism_changes_nothing(source):
    def with_threads(count):
        options = tf.data.Options()
        options.threading.private_threadpool_size = count
        options.autotune.enabled = count > 1
        made = training_batches(source, recipe, Steps(1, 4, 0, 8)).with_options(options)
        return list(made.as_numpy_iterator())

    alone = with_threads(1)
    assert_equal(with_threads(16), alone)


JPEG = tf.io.encode_jpeg(picture(0, 32, 32)).numpy()
BAD = {
    "03.jpg": JPEG[: len(JPEG) // 2],
    "07.jpg": b"",
    "08.jpg": b"just text",
    "11.jpeg": JPEG[:2] + bytes(len(JPEG) - 2),
}


@pytest.fixture
def holed(tmp_path):
    """A folder of 16 images, four of them unreadable."""
    good = {f"{i:02}.png": png(i) for i in range(16) if i not in (3, 7, 8, 11)}
    return ImageFolder(write_folder(tmp_path, {**good, **BAD}))


def test_unreadable_images_leave_no_hole(holed, capsys):
    made = batches(holed, 0, 16, limit=4)
    unreadable = holed.unreadable
    assert unreadable.count == 4
    assert sorted(unreadable.summary().split(": ")[1].split(", ")) == sorted(BAD)
    stream = list(holed.stream(9, 0, 64).as_numpy_iterator())
    means = [picture(i).mean() for i in range(16)]
    for step, batch in enumerate(made):
        indices = [record["index"] for record in stream[4 * step : 4 * step + 4]]
        good = [place for place, index in enumerate(indices) if index not in (3, 7, 8, 11)]
        for place in range(4):
            # Its own image, or that of the next readable place of the batch.
            taken = next(p % 4 for p in range(place, place + 4) if p % 4 in good)
            np.testing.assert_allclose(
                batch["views"][0][place, 0], means[indices[taken]], rtol=1e-5
            )
    assert_equal(batches(holed, 5, 16, limit=4), made[5:])


def running(source):
    """An iterator that has been through an epoch of a folder of 8, more than it reads ahead."""
    made = iter(training_batches(source, recipe, Steps(0, 4, 0, 99)))
    for _ in range(4):
        next(made)
    return made


def test_an_image_that_vanishes_during_the_run_is_unreadable(tmp_path):
    source = ImageFolder(write_folder(tmp_path, {f"{i}.png": png(i) for i in range(8)}))
    source.unreadable = UnreadableImages(1)
    made = running(source)
    (tmp_path / "3.png").unlink()
    assert len(list(made)) == 95
    assert source.unreadable.summary() == "; 1 unreadable images: 3.png"


def test_an_image_that_is_damaged_during_the_run_ends_it_in_one_line(tmp_path):
    source = ImageFolder(write_folder(tmp_path, {f"{i}.png": png(i) for i in range(8)}))
    source.unreadable = UnreadableImages(8)
    made = running(source)

    class Reader:
        steps_at_once = 1

        def fit(self, batches, **settings):
            (tmp_path / "3.png").write_bytes(b"no image any more")
            list(batches)

    with pytest.raises(UserError, match="damaged while the run went on; the same command goes on"):
        fit(Reader(), made, source=source, steps=95, callbacks=[])
    assert source.unreadable.count == 0
    # Another process, which knows no image yet, skips it.
    assert len(list(running(source))) == 95
    assert source.unreadable.summary() == "; 1 unreadable images: 3.png"


def test_a_large_image_that_is_damaged_on_its_way_to_a_canvas_ends_it_in_one_line(tmp_path):
    jpeg = tf.io.encode_jpeg(tf.zeros([64, 64, 3], tf.uint8)).numpy()
    source = ImageFolder(write_folder(tmp_path, {"0.jpg": jpeg}))
    known = KnownImages(all_known=True)
    (tmp_path / "0.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    made = transformed_batches(
        source,
        lambda example, seed: {"views": example["image"]},
        Steps(0, 1, 0, 1),
        known,
        decode=lambda example: decoding.decode_fast(example, source.unreadable, known, 32),
    )
    with pytest.raises(UserError, match="damaged while the run went on"):
        list(source.read(made))


def test_known_images_are_those_that_could_be_decoded_or_all():
    known = KnownImages()
    known.note(tf.constant(2**40), tf.constant(True))
    known.note(tf.constant(5, tf.int64), tf.constant(False))
    found = [bool(known.contains(tf.constant(i, tf.int64))) for i in (2**40, 5, 0)]
    assert found == [True, False, False]
    assert KnownImages(all_known=True).contains(tf.constant(7, tf.int64))


def test_an_image_is_guarded_until_it_has_been_decoded(tmp_path, monkeypatch):
    source = ImageFolder(write_folder(tmp_path, {"good.png": png(0), "bad.png": b"text"}))
    source.unreadable = UnreadableImages(1)
    tried = []
    monkeypatch.setattr(
        decoding, "_decode", functools.partial(tried_decode, tried, decoding._decode)
    )
    made = training_batches(source, recipe, Steps(0, 2, 0, 50))
    assert len(list(made)) == 50
    assert tried.count("bad.png") == 50
    # Several of these are under way before the first is done.
    assert 1 <= tried.count("good.png") <= 16


def tried_decode(tried, decode, image_id, encoded, *others):
    """`decode` under guard, noting in a list whose image it is."""

    def note(identity):
        tried.append(identity.decode())
        return True

    with tf.control_dependencies([tf.numpy_function(note, [image_id], tf.bool)]):
        image_id, encoded = tf.identity(image_id), tf.identity(encoded)
    return decode(image_id, encoded, *others)


def test_too_many_unreadable_images_end_the_run(holed):
    holed.unreadable = UnreadableImages(3)
    made = training_batches(holed, recipe, Steps(0, 16, 0, 1))
    with pytest.raises(tf.errors.OpError):
        list(made)
    with pytest.raises(UserError, match="4 images cannot be decoded .*--max_bad_images=3"):
        holed.unreadable.check()


@pytest.fixture
def namesakes(tmp_path):
    """60 records of one name, of which every second is broken."""
    content = [png(i) if i % 2 else b"no image" for i in range(60)]
    records = [example(image=image, image__filename=b"image.png") for image in content]
    source = ExampleFiles(write_records(tmp_path / "a", records), 1)
    source.unreadable = UnreadableImages(30)
    return source


def test_unreadable_images_of_one_id_count_each_once(namesakes):
    for part in (namesakes, *namesakes.hold_out(20), in_memory(namesakes)):
        read = evaluation_batches(part, 6, 5).as_numpy_iterator()
        found = np.concatenate([batch["index"] for batch in read])
        assert len(found) < part.size
    # Two epochs of training meet all of them again.
    assert len(list(training_batches(namesakes, recipe, Steps(0, 20, 0, 6)))) == 6
    assert namesakes.unreadable.count == 30
    namesakes.unreadable = UnreadableImages(29)
    with pytest.raises(tf.errors.OpError):
        list(evaluation_batches(namesakes, 6, 5))
    with pytest.raises(UserError, match="30 images cannot be decoded .*--max_bad_images=29"):
        namesakes.unreadable.check()


def test_a_batch_without_any_readable_image_ends_the_run(tmp_path):
    source = ImageFolder(write_folder(tmp_path, {f"{i}.png": b"" for i in range(4)}))
    source.unreadable = UnreadableImages(10)
    made = training_batches(source, recipe, Steps(0, 4, 0, 1))
    with pytest.raises(tf.errors.OpError):
        list(made)
    with pytest.raises(UserError, match="no image of a whole batch can be decoded"):
        source.unreadable.check()


def test_a_file_that_lost_records_does_not_shift_the_run(tmp_path):
    write_records(tmp_path / "a", [example(image=png(i)) for i in range(8)])
    source = ExampleFiles(str(tmp_path / "a"), 1)
    write_records(tmp_path / "a", [example(image=png(i)) for i in range(6)])
    with pytest.raises(tf.errors.OpError, match="expected to contain 8 elements"):
        batches(source, 0, 4)


def test_evaluation_sees_each_readable_example_once(holed):
    holed.unreadable = UnreadableImages(4)
    made = list(evaluation_batches(holed, 6, 5).as_numpy_iterator())
    assert [len(batch["index"]) for batch in made] == [5, 5, 2]
    indices = np.concatenate([batch["index"] for batch in made])
    assert indices.tolist() == [i for i in range(16) if i not in (3, 7, 8, 11)]
    images = np.concatenate([batch["image"] for batch in made])
    assert images.dtype == np.uint8 and images.shape == (12, 6, 6, 3)
    for index, image in zip(indices, images):
        np.testing.assert_array_equal(image, evaluation_crop(picture(index), 6))
    assert holed.unreadable.count == 4 and "label" not in made[0]


@each_kind
def test_evaluation_passes_labels_on(source):
    made = evaluation_batches(source, 6, 23)
    batch = next(made.as_numpy_iterator())
    labels = [record["label"] for record in source.sequence().as_numpy_iterator()]
    assert batch["label"].tolist() == labels and sorted(batch) == ["image", "index", "label"]
