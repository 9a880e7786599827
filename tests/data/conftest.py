"""One small source of each kind."""

import pytest

from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.tfrecord import ExampleFiles
from ssl_tf.data.unreadable import UnreadableImages
from tests.data.tiny_images import example, png, write_folder, write_records


@pytest.fixture(params=["folder", "records", "records of a small buffer"])
def source(request, tmp_path):
    """23 labelled examples, in a folder or in four files of uneven length."""
    if request.param == "folder":
        files = {f"class{i % 3}/{i:02}.png": png(i) for i in range(23)}
        opened = ImageFolder(write_folder(tmp_path, files))
        opened.unreadable = UnreadableImages(0)
        return opened
    first = 0
    for file, count in enumerate((9, 1, 8, 5)):
        records = [
            example(
                image__encoded=png(i), image__class__label=i % 3, image__id=f"picture {i}".encode()
            )
            for i in range(first, first + count)
        ]
        write_records(tmp_path / f"part-{file}", records)
        first += count
    opened = ExampleFiles(str(tmp_path / "part-*"), shuffle_mib=1)
    if request.param.endswith("buffer"):
        opened._buffer_bytes = 5 * opened._record_bytes
        assert opened.shuffle_buffer == 5
    opened.unreadable = UnreadableImages(0)
    return opened
