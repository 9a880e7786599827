"""What the framing of a record file tells without its data."""

import numpy as np
import pytest

from ssl_tf.data.record_framing import FIRST_RECORDS, first_checksums, record_lengths
from ssl_tf.errors import UserError
from tests.data.tiny_images import write_records


def records(changed=None):
    found = [b"%02d" % n * (n + 1) for n in range(FIRST_RECORDS + 2)]
    if changed is not None:
        found[changed] = found[changed].replace(b"%02d" % changed, b"xx")
    return found


def test_checksums_are_those_that_stand_behind_the_first_records(tmp_path):
    path = write_records(tmp_path / "x.tfrecord", records())
    begins, lengths = record_lengths(path)
    np.testing.assert_array_equal(lengths, [len(record) for record in records()])
    np.testing.assert_array_equal(np.diff(begins), lengths[:-1] + 16)
    content = (tmp_path / "x.tfrecord").read_bytes()
    ends = (begins + 16 + lengths)[:FIRST_RECORDS]
    assert first_checksums(path) == b"".join(content[end - 4 : end] for end in ends)
    empty = write_records(tmp_path / "empty.tfrecord", [])
    assert first_checksums(empty) == b"" and [len(a) for a in record_lengths(empty)] == [0, 0]


def test_a_change_of_each_of_the_first_records_is_told(tmp_path):
    def checksums(changed=None):
        return first_checksums(write_records(tmp_path / "x.tfrecord", records(changed)))

    same = checksums()
    assert all(checksums(n) != same for n in range(FIRST_RECORDS))
    assert checksums(FIRST_RECORDS) == same


def test_damage_among_the_first_records_is_told(tmp_path):
    path = tmp_path / "x.tfrecord"
    write_records(path, records())
    begins, _ = record_lengths(str(path))
    content = path.read_bytes()
    path.write_bytes(content[: begins[FIRST_RECORDS] + 5])
    assert len(first_checksums(str(path))) == 4 * FIRST_RECORDS
    path.write_bytes(content[: begins[3] + 17])
    with pytest.raises(UserError, match="x.tfrecord is damaged or truncated at record 3 .*restore"):
        first_checksums(str(path))
    path.unlink()
    with pytest.raises(UserError, match="cannot read .*x.tfrecord: No such file"):
        first_checksums(str(path))
