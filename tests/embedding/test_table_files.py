"""Each format gives back what it was given, by its own reader and by others'."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from ssl_tf.embedding.rows import Rows, joined, texts
from ssl_tf.embedding.table_files import read_rows, rows_path, write_rows
from ssl_tf.errors import UserError
from ssl_tf.settings import TABLE_FORMATS

IDS = ["plain", "Ünïcode/猫.png", "two\nlines", "", 'quote"comma,', "end "]


def made(dtype="float32", label=None, count=6):
    random = np.random.default_rng(0)
    return Rows(
        index=np.arange(3, 3 + count),
        id=np.array(IDS[:count], np.str_),
        features=random.normal(size=[count, 5]).astype(dtype),
        path=np.array([f"/a/{name}" for name in IDS[:count]], np.str_),
        label=label,
    )


MULTI = np.eye(6, 4, dtype=np.float32)


@pytest.mark.parametrize("name", TABLE_FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("label", [None, np.arange(6) % 2, MULTI], ids=["none", "one", "several"])
def test_rows_come_back_as_they_were(name, dtype, label, tmp_path):
    rows = made(dtype, label)
    write_rows(tmp_path, name, 7, rows)
    path = rows_path(tmp_path, name, 7)
    assert path.parent.name == name and path.stem == "000007"
    content = path.read_bytes()
    back = read_rows(tmp_path, 7, rows).columns()
    assert list(back) == list(rows.columns())
    for column, values in rows.columns().items():
        np.testing.assert_array_equal(back[column], values)
        assert back[column].dtype.kind == values.dtype.kind
    assert back["features"].dtype == dtype
    write_rows(tmp_path, name, 7, rows)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", TABLE_FORMATS)
def test_no_rows_are_a_file_too(name, tmp_path):
    rows = made(label=np.zeros([0], np.int64), count=0)
    write_rows(tmp_path, name, 0, rows)
    back = read_rows(tmp_path, 0, rows)
    assert len(back) == 0 and back.features.shape == (0, 5) and back.label.shape == (0,)


@pytest.mark.parametrize("name", TABLE_FORMATS)
@pytest.mark.parametrize("content", [b"", b"text", bytes(64)])
def test_a_damaged_file_is_one_line_with_its_remedy(name, content, tmp_path):
    path = rows_path(tmp_path, name, 0)
    path.parent.mkdir()
    path.write_bytes(content)
    if name == "tfrecord" and not content:
        assert len(read_rows(tmp_path, 0, made())) == 0  # as a shard without a readable image
        return
    with pytest.raises(UserError, match="remove it, it is recomputed") as told:
        read_rows(tmp_path, 0, made())
    assert "\n" not in str(told.value)


def test_other_readers_see_plain_types(tmp_path):
    rows = made(label=np.arange(6))
    for name in TABLE_FORMATS:
        write_rows(tmp_path, name, 0, rows)
    schema = pq.read_schema(rows_path(tmp_path, "parquet", 0))
    assert {field.name: str(field.type) for field in schema} == {
        "index": "int64", "id": "string", "features": "fixed_size_list<element: float>[5]",
        "path": "string", "label": "int64",
    }  # fmt: skip
    record = next(iter(tf.data.TFRecordDataset(str(rows_path(tmp_path, "tfrecord", 0)))))
    feature = tf.train.Example.FromString(record.numpy()).features.feature
    np.testing.assert_array_equal(
        np.float32(feature["features"].float_list.value), rows.features[0]
    )
    assert feature["id"].bytes_list.value[0] == b"plain"
    assert feature["label"].int64_list.value[0] == 0
    with np.load(rows_path(tmp_path, "numpy", 0), allow_pickle=False) as arrays:
        assert arrays["id"].tolist() == IDS


def test_parts_are_joined_in_order_and_ids_become_text():
    rows = joined([made(count=2), made(count=0), made(count=1)])
    assert rows.id.tolist() == ["plain", "Ünïcode/猫.png", "plain"]
    assert texts([b"a", "ä".encode(), b"\xff/x"]).tolist() == ["a", "ä", "\\xff/x"]
