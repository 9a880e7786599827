"""Images that two sources read from the same place: they must not be judged on."""

import json
from pathlib import Path

import numpy as np

from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.annotations.coco_json import CocoImages
from ssl_tf.data.annotations.label_map_folders import LabelMapFolders
from ssl_tf.data.annotations.tfds_records import TfdsObjects
from ssl_tf.data.annotations.voc_directory import VocObjects
from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.join import WithProposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.sources.source_checks import warn_of_training_images
from tests.data.annotations.annotated_files import (
    prepare_tfds,
    voc_features,
    write_coco,
    write_maps,
    write_voc,
)
from tests.data.annotations.test_tfds_records import voc_example
from tests.data.opened import source_of
from tests.data.sources.test_prepared import write, write_raw
from tests.data.tiny_images import example, png, write_folder, write_records


def test_splits_of_prepared_images_share_none(tmp_path):
    directory = write(tmp_path, {"train": [3, 2], "validation": [4]})
    source = source_of(prepared=directory)
    assert source.common_images(source_of(prepared=f"{directory}/.")) == 5
    assert source.common_images(source_of(prepared=directory, split="validation")) == 0


def test_raw_images_are_the_same_by_their_files(tmp_path):
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    one = write_raw(tmp_path / "one", [3, 2])
    source, again = source_of(prepared=one), source_of(prepared=f"{one}/.")
    assert source.common_images(again) == 5
    assert source.common_images(source_of(prepared=write_raw(tmp_path / "two", [3, 2]))) == 0


def test_folders_share_what_lies_in_the_inner_one(tmp_path):
    files = {"a/0.png": png(0), "a/1.png": png(1), "ab/2.png": png(2)}
    write_folder(tmp_path, files)
    whole, a, ab = (source_of(image_folder=str(tmp_path / d)) for d in ("", "a", "ab"))
    assert whole.common_images(a) == a.common_images(whole) == 2
    assert a.common_images(ab) == 0 and whole.common_images(ab) == 1


def test_scenes_share_those_of_their_split():
    train, fewer, test = (
        source_of(dataset="scenes", split=split, scenes=count, scene_size=24)
        for split, count in (("train", 8), ("train", 4), ("test", 8))
    )
    assert train.common_images(fewer) == 4 and train.common_images(test) == 0
    assert train.common_images(train.hold_out(2)[1]) == 2


def all_kinds(tmp_path):
    """A source of 12 images of each kind that can be held out of."""
    files = {f"{name}/{n}.png": png(n) for name in "ab" for n in range(6)}
    yield source_of(image_folder=write_folder(tmp_path / "folder", files))
    for part, numbers in (("0", range(5)), ("1", range(5, 12))):
        examples = [example(image__encoded=png(n)) for n in numbers]
        write_records(tmp_path / f"{part}.tfrecord", examples)
    yield source_of(tfrecord=str(tmp_path / "?.tfrecord"))
    (tmp_path / "raw").mkdir()
    yield source_of(prepared=write_raw(tmp_path / "raw", [7, 5]))
    yield source_of(dataset="scenes", scenes=12, scene_size=24)
    maps = {f"{n:02d}": np.eye(6, 8) for n in range(12)}
    yield LabelMapFolders(*write_maps(tmp_path / "maps", maps))


def test_parts_share_the_images_that_are_in_both(tmp_path):
    for source in all_kinds(tmp_path):
        assert source.size == 12, source.name
        few_rest, few = source.hold_out(3)
        rest, many = source.hold_out(5)
        ids = {part: set(part.ids().as_numpy_iterator()) for part in (few_rest, few, rest, many)}
        for one, ours in ids.items():
            for other, theirs in ids.items():
                told = f"{one.name} | {other.name}"
                assert one.common_images(other) == len(ours & theirs), told
        assert few.common_images(rest) > 0, "hold-outs of two sizes lie within each other"


def test_monitors_that_look_at_training_images_are_told(capsys):
    train, test = (
        source_of(dataset="scenes", split=split, scenes=16, scene_size=24)
        for split in ("train", "test")
    )
    warn_of_training_images(train, test)
    assert capsys.readouterr().err == ""
    warn_of_training_images(test, test)
    assert "4 of the 4 images of scenes:test, by which" in capsys.readouterr().err


def test_boxes_and_kinds_change_nothing(tmp_path):
    folder = source_of(image_folder=write_folder(tmp_path / "f", {"0.png": png(0)}))
    boxes = [ImageProposals("0.png", np.array([[0, 0, 1, 1]], np.float32))]
    write_proposals(tmp_path / "boxes", boxes, generator="test", settings={})
    joined = WithProposals(folder, ProposalStore(str(tmp_path / "boxes")))
    assert joined.common_images(folder) == folder.common_images(joined) == 1
    scenes = source_of(dataset="scenes", scenes=4, scene_size=24)
    assert scenes.common_images(folder) == folder.common_images(scenes) == 0


def test_annotated_images_are_the_same_by_their_files(tmp_path):
    one, folder = write_coco(tmp_path, [])
    content = json.loads(Path(one).read_text())
    # Numbered anew, and without the first.
    content["images"] = [{**i, "id": i["id"] + 7} for i in content["images"] if i["id"]]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    assert CocoImages(one, folder).common_images(CocoImages(str(other), folder)) == 2
    voc = write_voc(tmp_path / "VOC", {"a": [], "b": [], "c": []})
    write_voc(tmp_path / "VOC", {"b": []}, name="val")
    both, part = (VocObjects([voc], [name]) for name in ("trainval", "val"))
    assert both.common_images(part) == part.common_images(both) == 1
    maps = write_maps(tmp_path / "maps", {"a": np.eye(6, 8)})
    assert LabelMapFolders(*maps).common_images(LabelMapFolders(*maps)) == 1
    assert both.common_images(LabelMapFolders(*maps)) == 0


def test_annotated_records_are_the_same_by_their_places(tmp_path):
    examples = {"train": [voc_example(n, []) for n in range(4)]}
    prepare_tfds(tmp_path, "voc", voc_features(), examples, config="2007")
    whole, part, rest = (
        TfdsObjects("voc/2007", str(tmp_path), split)
        for split in ("train", "train[:1]", "train[1:]")
    )
    assert (whole.common_images(part), part.common_images(rest)) == (1, 0)


def test_images_are_the_same_with_their_annotations_and_without(tmp_path):
    examples = {"train": [voc_example(n, []) for n in range(4)]}
    prepare_tfds(tmp_path, "voc", voc_features(), examples, config="2007")
    given = {"dataset": "voc/2007", "data_dir": str(tmp_path)}
    plain = source_of(**given, split="train[:3]")
    annotated = TfdsObjects("voc/2007", str(tmp_path), "train[2:]")
    assert plain.common_images(annotated) == annotated.common_images(plain) == 1
    scenes = source_of(dataset="scenes", scenes=8, scene_size=24)
    rest, held_out = AnnotatedScenes(scenes).hold_out(2)
    assert scenes.common_images(held_out) == held_out.common_images(scenes) == 2
    assert rest.common_images(held_out) == 0
    files = VocObjects([write_voc(tmp_path / "VOC", {"a": [], "b": []})], ["trainval"])
    folder = source_of(image_folder=str(tmp_path / "VOC/JPEGImages"))
    assert files.common_images(folder) == folder.common_images(files) == 2
