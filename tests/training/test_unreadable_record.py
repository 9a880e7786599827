"""Unreadable images of a training that was killed."""

import pytest

from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.training.unreadable_record import RECORD, UnreadableRecord

ODD = b"\xff\xfe.png"


def test_a_second_process_counts_those_of_the_first_but_not_against_its_limit(tmp_path, capsys):
    first = UnreadableImages(2)
    record = UnreadableRecord(tmp_path, first)
    record.on_train_batch_end(0)
    assert not (tmp_path / RECORD).exists()
    for row in (3, 1):
        first.add(ODD, row=row)
    record.on_train_batch_end(1)
    assert first.rows == [(ODD, 1), (ODD, 3)]

    capsys.readouterr()
    second = UnreadableImages(2)
    UnreadableRecord(tmp_path, second)
    assert second.count == 2 and second.rows == first.rows
    second.add(ODD, row=3)
    assert second.count == 2 and capsys.readouterr().err == ""
    second.add(b"a", row=4)
    second.add(b"b", row=5)
    assert second.count == 4
    with pytest.raises(UserError, match=r"3 images cannot be decoded \(the first: a, b, c\)"):
        second.add(b"c", row=6)


def test_a_test_that_is_counted_together_knows_them_too(tmp_path):
    train = UnreadableImages(0)
    test = train.of_another_source()
    (tmp_path / RECORD).write_text('[["a", 0]]')
    UnreadableRecord(tmp_path, train)
    assert test.count == 1 and test.rows == []
    test.add(b"a", row=7)  # an id of both is one image
    assert test.count == 1


def test_a_second_training_of_a_process_keeps_what_the_first_has_met(tmp_path):
    images = UnreadableImages(2)
    images.add(b"a", row=0)
    UnreadableRecord(tmp_path, images).on_train_batch_end(0)
    later = UnreadableImages(0)
    UnreadableRecord(tmp_path, later)
    assert later.rows == [(b"a", 0)]


@pytest.mark.parametrize("text", ["{}", "[3]", '[["a", "b"]]', '[["a"]]', "[[3, 4]]", "["])
def test_a_damaged_record_is_told(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match="remove it, and those that are met from here on"):
        UnreadableRecord(tmp_path, UnreadableImages())
