"""Copies of training images among those to judge by, whatever their names."""

import numpy as np

from ssl_tf.data.annotations.open_annotated import open_annotated
from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.join import WithProposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.sources import source_checks
from ssl_tf.data.sources.source_checks import warn_of_copies
from ssl_tf.settings import AnnotationSettings, flagfiles
from tests.data.annotations.annotated_files import write_voc
from tests.data.opened import source_of
from tests.data.tiny_images import png, write_folder


def test_of_many_images_some_are_looked_at(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(source_checks, "_LOOKED_AT", 3)
    files = {f"{n}.png": png(n) for n in range(8)}
    train, test = (
        source_of(image_folder=write_folder(tmp_path / name, files)) for name in ("a", "b")
    )
    warn_of_copies(train, test)
    told = capsys.readouterr().err
    assert "3 of the 3 that were looked at of the 8 images of folder" in told


def test_both_ways_to_images_to_judge_by_are_looked_at(tmp_path, capsys):
    objects = {name: [("dog", 1, 1, 4, 4, False)] for name in "abcd"}
    voc = write_voc(tmp_path / "VOC", objects)
    for name in "bd":
        path = tmp_path / "VOC/JPEGImages"
        (path / f"{name}.jpg").write_bytes((path / "a.jpg").read_bytes())
    write_voc(tmp_path / "other", {"e": objects["a"]}, name="test")
    jpeg = (tmp_path / "VOC/JPEGImages/a.jpg").read_bytes()
    (tmp_path / "other/JPEGImages/e.jpg").write_bytes(jpeg)
    for flags in (["--holdout=2"], [f"--test_voc_dir={tmp_path}/other", "--test_voc_list=test"]):
        given = [f"--voc_dir={voc}", "--voc_list=trainval", *flags]
        open_annotated(flagfiles.parse(given, AnnotationSettings), "boxes")
        assert "images, such as" in capsys.readouterr().err


def test_a_hold_out_with_copies_of_what_is_learned_is_told(tmp_path, capsys):
    files = {f"{n}_{copy}.png": png(n) for n in range(8) for copy in "xy"}
    source = source_of(image_folder=write_folder(tmp_path / "images", files))
    boxes = [ImageProposals(name, np.array([[0, 0, 1, 1]], np.float32)) for name in files]
    write_proposals(tmp_path / "boxes", boxes, generator="test", settings={})
    for whole in (source, WithProposals(source, ProposalStore(str(tmp_path / "boxes")))):
        train, held_out = whole.hold_out(4)
        learned, judged = (
            [name.decode() for name in part.ids().as_numpy_iterator()] for part in (train, held_out)
        )
        # 3_x.png is a copy of 3_y.png.
        numbers = [name[0] for name in learned]
        expected = sum(name[0] in numbers for name in judged)
        assert expected > 0
        warn_of_copies(train, held_out)
        told = capsys.readouterr().err
        assert (
            f"{expected} of the 4 images of folder {tmp_path}/images, 4 held out are copies" in told
        )
    apart = source_of(image_folder=write_folder(tmp_path / "apart", {"0_x.png": png(9)}))
    warn_of_copies(source, apart)
    records = source_of(dataset="scenes", scenes=4, scene_size=24)
    warn_of_copies(records, records)
    assert capsys.readouterr().err == ""
