"""The names of reports: each data set that an encoder is judged on has its own file."""

import hashlib
import re
from pathlib import Path

from ssl_tf.errors import UserError
from ssl_tf.files import read_json
from ssl_tf.settings import LISTS_OF, DataSettings

# Directory of the reports of a transfer, in that of the run.
TRANSFERRED = "transfer"
_LONGEST_WORD = 150
# Row of the random encoders in tables over seeds.
RANDOM_ROW = "random encoder"


def word(text: str) -> str:
    """A text as it stands in names of files and of columns.

    No file system takes names of more than 255 bytes: a long text is its begin and a digest.
    """
    made = re.sub(r"[^\w.-]+", "_", text)
    if len(made.encode()) <= _LONGEST_WORD:
        return made
    begin = made.encode()[: _LONGEST_WORD - 9].decode(errors="ignore")
    return f"{begin}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:8]}"


def report_file(run: Path, stage: str, data: DataSettings, own: DataSettings, test: str) -> Path:
    """The report of a stage in the directory of a run.

    It is STAGE.json for the data set of the run itself, and STAGE_DATA.json for another one. The
    name of the test images follows if that file is there and of other test images, such as those of
    another split.

    Args:
        run: directory of the run.
        stage: name of the evaluation, such as "knn".
        data: of the evaluation.
        own: of the run.
        test: name of the test images, as the report tells it.
    """
    name = stage if _place(data) == _place(own) else f"{stage}_{_slug(data)}"
    path = run / f"{name}.json"
    if _test_images(path) in (None, test):
        return path
    return run / f"{name}_{word(test)}.json"


def _place(data: DataSettings) -> tuple[str, ...]:
    """Where the images are, whatever their split."""
    folder = str(Path(data.image_folder).resolve()) if data.image_folder else ""
    records = data.tfrecord or data.prepared
    records = str(Path(records).resolve()) if records else ""
    name = data.dataset.partition("/")[0]
    size = str(data.scene_size) if name == "scenes" else ""
    scenes = data.scene_objects, data.scene_ground, size
    # Fine-tuning has the list of labelled images in the name of its stage.
    return LISTS_OF.get(name, data.dataset), *scenes, folder, records


def _slug(data: DataSettings) -> str:
    """A name for files. Paths that end alike differ in a digest of the whole path."""
    if data.dataset:
        objects = f"_of_{data.scene_objects}" if data.scene_objects else ""
        objects += f"_on_{data.scene_ground}" if data.scene_ground else ""
        if data.dataset == "scenes" and data.scene_size != DataSettings.scene_size:
            objects += f"_{data.scene_size}_pixels"
        return word(data.dataset + objects)
    path = Path(data.image_folder or data.prepared or data.tfrecord).resolve()
    return f"{word(path.name)}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _test_images(path: Path) -> str | None:
    """The test images of a report; None if there is no report, or none that tells them."""
    try:
        return read_json(path, dict, "").get("test")
    except UserError:
        return None
