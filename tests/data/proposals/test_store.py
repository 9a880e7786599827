"""The proposal store: round trip, what it refuses, and damage to its files."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.proposals.format import MANIFEST, ImageProposals, write_proposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.errors import UserError


def random_boxes(rng, count):
    corners = np.sort(rng.uniform(0, 1, [count, 2, 2]), axis=1)
    return corners.reshape(count, 4)


def made_images(count=7):
    rng = np.random.default_rng(3)
    return [
        ImageProposals(f"image {i}", random_boxes(rng, i), rng.uniform(0, 1, i), 30 + i, 40 + i)
        for i in range(count)
    ]


def write(path, images, **options):
    return write_proposals(path, images, generator="test", settings={"a": 1}, **options)


def test_round_trip_over_shards(tmp_path):
    images = made_images()
    manifest = write(tmp_path / "store", images, max_boxes=4, shard_images=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
    store = ProposalStore(tmp_path / "store")
    assert store.manifest == manifest
    assert (manifest.generator, manifest.settings) == ("test", {"a": 1})
    assert [shard.records for shard in manifest.shards] == [3, 3, 1]
    assert (manifest.images, manifest.images_without_boxes) == (7, 1)
    assert manifest.boxes == 0 + 1 + 2 + 3 + 4 + 4 + 4
    assert manifest.boxes_left_out == 0 + 0 + 0 + 0 + 0 + 1 + 2
    ids, splits, boxes = store.read()
    assert [i.decode() for i in ids] == [image.image_id for image in images]
    areas = []
    for i, (image, read) in enumerate(zip(images, store.images(), strict=True)):
        best = sorted(range(len(image.boxes)), key=lambda n: -image.scores[n])[:4]
        np.testing.assert_array_equal(read.boxes, np.float32(image.boxes[best]))
        np.testing.assert_array_equal(read.scores, np.float32(image.scores[best]))
        assert (read.image_id, read.height, read.width) == (image.image_id, 30 + i, 40 + i)
        np.testing.assert_array_equal(boxes[splits[i] : splits[i + 1]], read.boxes)
        areas += [(b[2] - b[0]) * (b[3] - b[1]) for b in read.boxes]
    assert manifest.mean_area == pytest.approx(np.mean(areas), rel=1e-6)
    store.verify()


def test_a_store_of_an_earlier_version_is_read(tmp_path):
    write(tmp_path / "store", made_images())
    path = tmp_path / "store" / MANIFEST
    content = json.loads(path.read_text())
    assert content.pop("boxes_left_out") == 0
    path.write_text(json.dumps(content))
    assert ProposalStore(tmp_path / "store").manifest.boxes == 21


def test_equal_scores_keep_the_given_order(tmp_path):
    boxes = random_boxes(np.random.default_rng(0), 12)
    write(tmp_path / "store", [ImageProposals("a", boxes)])
    (read,) = ProposalStore(tmp_path / "store").images()
    np.testing.assert_array_equal(read.boxes, np.float32(boxes[:10]))
    assert read.scores.tolist() == [1.0] * 10


BAD = {
    "no finite number": [0.1, 0.2, np.nan, 0.4],
    "corners are swapped": [0.5, 0.2, 0.4, 0.4],
    "outside of the image": [0.1, -0.02, 0.4, 0.4],
    "no area": [0.1, 0.2, 0.1, 0.4],
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_box_is_named_and_nothing_stays(message, tmp_path):
    images = [
        ImageProposals("good", [[0, 0, 1, 1]]),
        ImageProposals("x", [[0, 0, 1, 1], BAD[message]]),
    ]
    with pytest.raises(UserError, match=f"image 'x', box 1 .*{message}"):
        write(tmp_path / "store", images)
    assert not list(tmp_path.iterdir())


def test_what_else_is_refused(tmp_path):
    with pytest.raises(UserError, match="image 'a' has its proposals twice"):
        write(tmp_path / "store", [ImageProposals("a", [])] * 2)
    with pytest.raises(UserError, match="1 boxes and the scores"):
        write(tmp_path / "store", [ImageProposals("a", [[0, 0, 1, 1]], [1, 2])])
    with pytest.raises(UserError, match="no image"):
        write(tmp_path / "store", [])
    (tmp_path / "store").mkdir()
    with pytest.raises(UserError, match="store exists already"):
        write(tmp_path / "store", made_images())
    with pytest.raises(UserError, match="store is no proposal store"):
        ProposalStore(tmp_path / "store")


@pytest.mark.parametrize(
    "kept, record", [(-3, "record 6"), (40, "record 0"), (0, "0 whole records")]
)
def test_a_truncated_shard_is_named_with_its_record(kept, record, tmp_path):
    write(tmp_path / "store", made_images())
    shard = tmp_path / "store" / "proposals-00000.tfrecord"
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"proposals-00000.tfrecord .*{record}"):
        ProposalStore(tmp_path / "store")
    shard.unlink()
    with pytest.raises(UserError, match="proposals-00000.tfrecord is missing"):
        ProposalStore(tmp_path / "store")


def test_shards_of_another_store_are_found(tmp_path):
    write(tmp_path / "one", made_images())
    write(tmp_path / "two", made_images()[::-1])
    name = "proposals-00000.tfrecord"
    (tmp_path / "one" / name).write_bytes((tmp_path / "two" / name).read_bytes())
    with pytest.raises(UserError, match="not the file that was written"):
        ProposalStore(tmp_path / "one").verify()


def test_a_flipped_bit_is_found_when_reading(tmp_path):
    write(tmp_path / "store", made_images())
    shard = tmp_path / "store" / "proposals-00000.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match="damaged or truncated at record 6"):
        ProposalStore(tmp_path / "store").read()


def test_a_record_of_something_else_is_named(tmp_path):
    write(tmp_path / "store", made_images())
    shard = tmp_path / "store" / "proposals-00000.tfrecord"
    size, records = shard.stat().st_size, len(list(tf.data.TFRecordDataset(str(shard))))
    whole = records * 16
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for number in range(records):
            writer.write(b"\xff" * (size - whole if number == 0 else 0))
    with pytest.raises(UserError, match="a record from 0 to .* holds no proposals: restore"):
        ProposalStore(tmp_path / "store").read()


def test_a_damaged_manifest_is_named(tmp_path):
    write(tmp_path / "store", made_images())
    path = tmp_path / "store" / MANIFEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 9}))
    with pytest.raises(UserError, match="has format 9"):
        ProposalStore(tmp_path / "store")
    for broken in (path.read_text()[:50], "[]", json.dumps({"format": 1})):
        path.write_text(broken)
        with pytest.raises(UserError, match="manifest.json is damaged"):
            ProposalStore(tmp_path / "store")
