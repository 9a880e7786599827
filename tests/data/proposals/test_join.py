"""Boxes found by id: in every order, after a restart, in subsets; and ids that do not meet."""

import dataclasses

import numpy as np
import pytest

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.join import Matches, WithProposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.sources.opening import open_training_source, with_boxes
from ssl_tf.data.sources.tfrecord import ExampleFiles
from ssl_tf.errors import UserError
from ssl_tf.settings import DataSettings, ViewSettings, fields
from ssl_tf.views.regions import smallest_areas
from tests.data.opened import source_of
from tests.data.tiny_images import example, png, write_records


def made_boxes(identity: bytes) -> np.ndarray:
    """0 to 3 boxes that no other id has."""
    rng = np.random.default_rng(list(identity))
    return np.sort(rng.uniform(0, 1, [rng.integers(4), 2, 2]), axis=1).reshape(-1, 4)


def make_store(path, ids):
    images = (ImageProposals(i.decode(), made_boxes(i)) for i in ids)
    write_proposals(path, images, generator="test", settings={}, shard_images=4)
    return ProposalStore(path)


def ids_of(source):
    return [record["id"] for record in source.sequence().as_numpy_iterator()]


@pytest.fixture
def known(source):
    """The ids of the source that the store has, in an order of its own."""
    return sorted(ids_of(source), reverse=True)[:15]


@pytest.fixture
def joined(source, known, tmp_path):
    return WithProposals(source, make_store(tmp_path / "store", known))


def check(records, known):
    found = 0
    for record in records:
        expected = made_boxes(record["id"]) if record["id"] in known else np.zeros([0, 4])
        np.testing.assert_array_equal(record["boxes"], np.float32(expected))
        found += len(expected)
    return found


def test_other_boxes_are_other_data_in_whatever_order_they_are_stored(source, known, tmp_path):
    def details(name, ids):
        joined = WithProposals(source, make_store(tmp_path / name, ids))
        assert list(joined.contents()) == list(source.contents())
        assert list(joined.details())[:-3] == list(source.details())
        return list(joined.details())

    assert details("one", known) == details("two", known[::-1]) != details("three", known[:-1])


def test_boxes_come_with_their_image_in_every_order(source, joined, known):
    for plain, records in (
        (source.sequence(), joined.sequence()),
        (source.stream(3, 0, 60), joined.stream(3, 0, 60)),
    ):
        records = list(records.as_numpy_iterator())
        assert check(records, known) > 5
        for before, after in zip(plain.as_numpy_iterator(), records, strict=True):
            assert after.keys() == before.keys() | {"boxes"}
            assert all(after[key] == before[key] for key in before)


@pytest.mark.parametrize("start", [1, 23, 37])
def test_a_joined_stream_may_start_anywhere(joined, start):
    whole = list(joined.stream(5, 0, 50).skip(start).as_numpy_iterator())
    for first, second in zip(whole, joined.stream(5, start, 50).as_numpy_iterator(), strict=True):
        assert first.keys() == second.keys()
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])


def test_parts_keep_their_boxes(joined, known):
    rest, held = joined.hold_out(6)
    assert (rest.size, held.size) == (17, 6)
    for part in (rest, held):
        records = list(part.sequence().as_numpy_iterator())
        check(records, known)
        assert [record["index"] for record in records] == list(range(part.size))
    assert sorted(ids_of(rest) + ids_of(held)) == sorted(ids_of(joined))


def test_all_boxes_at_once(joined, known):
    (boxes,) = joined.boxes().as_numpy_iterator()
    np.testing.assert_array_equal(
        boxes, np.float32(np.concatenate([made_boxes(identity) for identity in known]))
    )


def test_boxes_of_other_images_are_left_out(source, known, tmp_path):
    """Else their areas would bound the crops of these images."""
    images = [ImageProposals(i.decode(), [[0, 0, 0.5, 0.5]]) for i in known[:3]]
    strangers = [ImageProposals(f"other {n}", [[0, 0, 1, 1]]) for n in range(97)]
    mixed = [*strangers[:50], *images, *strangers[50:]]
    write_proposals(tmp_path / "mixed", mixed, generator="test", settings={})
    joined = WithProposals(source, ProposalStore(tmp_path / "mixed"))
    assert joined.match(allow_unmatched=True) == Matches(23, without_proposal=20, unmatched=97)
    for every in (joined, joined.hold_out(5)[0]):
        (boxes,) = every.boxes().as_numpy_iterator()
        np.testing.assert_array_equal(boxes, [[0, 0, 0.5, 0.5]] * 3)
    # 0.2 / 0.25, where all boxes together have the mean area 0.9775.
    areas = smallest_areas(ViewSettings(crops="object_object", dilation=0.0), joined.boxes)
    assert areas == pytest.approx((0.8, 0.8))
    lengths = {r["id"]: len(r["boxes"]) for r in joined.sequence().as_numpy_iterator()}
    assert {i for i, length in lengths.items() if length} == set(known[:3])


SCENES = dict(dataset="scenes", scenes=5, scene_size=16)


def store_of_scenes(path, **told):
    settings = fields.as_dict(DataSettings(**SCENES)) | told
    images = [ImageProposals(f"scenes/train/{n}", [[0, 0, 0.5, 0.5]]) for n in range(5)]
    write_proposals(path, images, generator="test", settings=settings)
    return DataSettings(**SCENES, proposals=str(path))


@pytest.mark.parametrize("name", ["scene_objects", "scene_ground"])
def test_a_store_of_other_scenes_is_refused(tmp_path, name):
    data = store_of_scenes(tmp_path / "s", **{name: "cifar10"})
    with pytest.raises(UserError, match=f"scenes of --{name}=cifar10, not of these, of --{name}="):
        open_training_source(data, boxes=True)


def test_a_store_of_scenes_of_objects_is_of_one_size(tmp_path):
    given = dict(scene_objects="x", scene_size="32")
    data = dataclasses.replace(store_of_scenes(tmp_path / "s", **given), scene_objects="x")
    source = source_of(**SCENES)
    with pytest.raises(UserError, match="of --scene_size=32, not of these, of --scene_size=16"):
        with_boxes(source, data)
    assert with_boxes(source, dataclasses.replace(data, scene_size=32)).size == 5


@pytest.mark.parametrize(
    "told", [{"scene_size": "32", "scenes": "9"}, {"scene_objects": "x", "dataset": ""}]
)
def test_a_store_of_the_same_scenes_or_that_does_not_tell_is_taken(tmp_path, told):
    """Scenes of shapes are the same at any size."""
    joined, _ = open_training_source(store_of_scenes(tmp_path / "s", **told), boxes=True)
    assert joined.match() == Matches(5, without_proposal=0, unmatched=0)


def test_the_largest_side_is_that_of_the_images(source, known, tmp_path):
    """Else canvases for objects in small images would be those of photographs."""
    source.largest_side = 17
    assert WithProposals(source, make_store(tmp_path / "store", known)).largest_side == 17


def test_what_was_guessed_of_the_images_is_not_lost(source, known, tmp_path):
    source.guesses = {"label_feature": "the first"}
    joined = WithProposals(source, make_store(tmp_path / "store", known))
    assert joined.guesses == {"label_feature": "the first"}


def test_ids_are_those_of_the_records(source, joined):
    for every in (source, joined, source.hold_out(5)[0]):
        assert sorted(every.ids().as_numpy_iterator()) == sorted(ids_of(every))


def test_images_without_a_proposal_are_counted(joined, known):
    without = 23 - sum(len(made_boxes(identity)) > 0 for identity in known)
    assert 8 < without < 23
    assert joined.match() == Matches(images=23, without_proposal=without, unmatched=0)


def test_ids_that_match_nothing(source, known, tmp_path):
    more = make_store(tmp_path / "more", [*known, b"stranger"])
    message = "1 of the 16 ids of .*more are not in .*'stranger'.*--unmatched_proposals=ignore"
    with pytest.raises(UserError, match=message):
        WithProposals(source, more).match()
    assert WithProposals(source, more).match(allow_unmatched=True).unmatched == 1
    other = make_store(tmp_path / "other", [b"x", b"y"])
    for allow in (False, True):
        with pytest.raises(UserError, match="no id of .*other .*'[xy]'.* is in .*") as error:
            WithProposals(source, other).match(allow_unmatched=allow)
        assert ids_of(source)[0].decode() in str(error.value)


def test_an_id_that_two_images_share(tmp_path):
    records = [example(image__encoded=png(i), image__id=b"same") for i in range(2)]
    source = ExampleFiles(write_records(tmp_path / "a", records), shuffle_mib=1)
    with pytest.raises(UserError, match="has the id 'same' twice"):
        WithProposals(source, make_store(tmp_path / "store", [b"same"])).match()


def test_a_store_is_joined_before_images_are_held_out(tmp_path, capsys):
    path = tmp_path / "store"
    make_store(path, [f"scenes/train/{i}".encode() for i in range(12)])
    data = DataSettings(dataset="scenes", scenes=12, scene_size=16, holdout=4, proposals=str(path))
    for part in open_training_source(data, boxes=True):
        records = part.sequence().as_numpy_iterator()
        assert check(records, [f"scenes/train/{i}".encode() for i in range(12)]) > 2
    assert "of 12 images have no proposal and keep scene crops" in capsys.readouterr().err
    # Without object crops the records keep their own boxes.
    plain, _ = open_training_source(data)
    assert not isinstance(plain, WithProposals)


def test_the_ground_truth_of_records_without_boxes_is_refused(source):
    with pytest.raises(UserError, match="has no boxes of its own"):
        with_boxes(source, DataSettings(tfrecord="x", proposals="ground_truth"))


def test_records_without_a_box_of_their_own_are_counted(tmp_path, capsys):
    box = {f"image__object__bbox__{side}": 0.5 for side in ("ymin", "xmin")}
    box |= {f"image__object__bbox__{side}": 0.75 for side in ("ymax", "xmax")}
    records = [example(image__encoded=png(i), **(box if i < 2 else {})) for i in range(5)]
    path = write_records(tmp_path / "a", records)
    data = DataSettings(tfrecord=path, proposals="ground_truth")
    source = with_boxes(ExampleFiles(path, shuffle_mib=1), data)
    assert "3 of 5 images have no box and keep scene crops" in capsys.readouterr().err
    lengths = [len(record["boxes"]) for record in source.sequence().as_numpy_iterator()]
    assert lengths == [1, 1, 0, 0, 0]


def test_a_recipe_gets_the_boxes_or_none(source, joined):
    def batches(of, **options):
        return training_batches(
            of,
            lambda image, seed, *boxes: {"count": sum(len(b) for b in boxes), "with": len(boxes)},
            Steps(3, 23, 0, 1),
            **options,
        ).get_single_element()

    order = [record["id"] for record in joined.stream(3, 0, 23).as_numpy_iterator()]
    expected = [len(r["boxes"]) for r in joined.stream(3, 0, 23).as_numpy_iterator()]
    assert len(order) == 23 and sum(expected) > 5
    assert batches(joined)["with"].numpy().tolist() == [0] * 23
    made = batches(joined, with_boxes=True)
    assert made["with"].numpy().tolist() == [1] * 23
    made = batches(source, with_boxes=True)
    assert made["count"].numpy().tolist() == [0] * 23


def test_that_images_have_several_labels_is_not_lost(source, tmp_path):
    source.multi_label = True
    assert WithProposals(source, make_store(tmp_path / "several", ids_of(source))).multi_label
