"""Copies of training images among those to judge by, whatever their names."""

import numpy as np

from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.join import WithProposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.sources.opening import open_source
from ssl_tf.data.sources.source_checks import copied, warn_of_copies
from tests.data.tiny_images import png, write_folder


def test_files_of_equal_bytes_are_copies_and_others_of_equal_size_are_not(tmp_path):
    # Of one size and one begin, longer than what is read first.
    begin = bytes(5000)
    contents = {"a": begin + b"1", "b": begin + b"2", "c": begin + b"1", "d": b"", "e": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    a, b, c, d, e, gone = (str(tmp_path / name).encode() for name in "abcdeg")
    assert copied([a, b], [c]) == [a]
    assert copied([d, gone], [e, gone]) == []
    assert copied([], [a]) == copied([a], []) == []


def test_a_hold_out_with_copies_of_what_is_learned_is_told(tmp_path, capsys):
    files = {f"{n}_{copy}.png": png(n) for n in range(8) for copy in "xy"}
    source = open_source(image_folder=write_folder(tmp_path / "images", files))
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
    apart = open_source(image_folder=write_folder(tmp_path / "apart", {"0_x.png": png(9)}))
    warn_of_copies(source, apart)
    records = open_source(dataset="scenes", scenes=4, scene_size=24)
    warn_of_copies(records, records)
    assert capsys.readouterr().err == ""
