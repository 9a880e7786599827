"""One small source of each kind."""

import copy

import pytest

from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.tfrecord import ExampleFiles
from ssl_tf.data.unreadable import UnreadableImages
from tests.data.tiny_images import example, png, write_folder, write_records


@pytest.fixture(scope="module", params=["folder", "records", "records of a small buffer"])
def opened(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("source")
    if request.param == "folder":
        files = {f"class{i % 3}/{i:02}.png": png(i) for i in range(23)}
        return ImageFolder(write_folder(path, files))
    first = 0
    for file, count in enumerate((9, 1, 8, 5)):
        records = [
            example(
                image__encoded=png(i), image__class__label=i % 3, image__id=f"picture {i}".encode()
            )
            for i in range(first, first + count)
        ]
        write_records(path / f"part-{file}", records)
        first += count
    records = ExampleFiles(str(path / "part-*"), shuffle_mib=1)
    if request.param.endswith("buffer"):
        records._buffer_bytes = 5 * records._record_bytes
        assert records.shuffle_buffer == 5
    return records


@pytest.fixture
def source(opened):
    """23 labelled examples, in a folder or in four files of uneven length; a test may change it."""
    own = copy.copy(opened)
    own.unreadable = UnreadableImages(0)
    return own
