"""Files of equal bytes, whatever their names."""

from ssl_tf.data.sources import file_copies
from ssl_tf.data.sources.file_copies import copied


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


def test_files_that_begin_alike_are_read_once_each(tmp_path, monkeypatch):
    """White pages of one size: pairs of them would be compared for hours."""
    for side, number in (("x", 0), ("y", 300)):
        for n in range(300):
            (tmp_path / f"{side}{n}").write_bytes(bytes(5000) + b"%03d" % (n + number))
    ours, theirs = ([str(tmp_path / f"{s}{n}").encode() for n in range(300)] for s in "xy")
    read, digest = [], file_copies._of_all
    monkeypatch.setattr(file_copies, "_of_all", lambda path: (read.append(path), digest(path))[1])
    assert copied(ours, theirs) == []
    assert sorted(read) == sorted([*ours, *theirs])
    (tmp_path / "y7").write_bytes((tmp_path / "x9").read_bytes())
    assert copied(ours, theirs) == [ours[9]]
