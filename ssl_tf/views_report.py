"""Draws the views of a recipe, and every operation by level.

`python -m ssl_tf.views_report --flagfile=FLAGS --output=DIR`

Writes ops_0.png, ops_1.png, ... (an image under every operation), views.png (draws of the recipe)
and the same sheets for TensorBoard.
"""

import functools
import re
from pathlib import Path

from ssl_tf import command
from ssl_tf.errors import UserError
from ssl_tf.files import prepare_output
from ssl_tf.settings import ViewsReportSettings

# Of the file with the sheets for TensorBoard.
_SUFFIX = ".views_report"


def main(settings: ViewsReportSettings) -> None:
    """Draws the sheets and prints where they are."""
    import tensorflow as tf

    from ssl_tf.data.order import example_seed
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.pretraining.inputs import build_recipe, first_examples
    from ssl_tf.training.run_directory import FLAGS
    from ssl_tf.views.evaluation_crop import evaluation_crop
    from ssl_tf.views.gallery import op_cells, view_cells
    from ssl_tf.views.sheet import draw_sheet

    pretrain, directory = settings.pretrain, Path(settings.output)
    if (directory / FLAGS).exists():
        raise UserError(
            f"--output={directory} is that of another command, as the views.png of a run is its "
            "own; give another directory"
        )
    prepare_output(directory, is_directory=True)
    views, seed = pretrain.views, pretrain.run.seed
    source, _ = open_training_source(pretrain.data, views.object_crops)
    examples = first_examples(source, seed, settings.images, with_boxes=views.object_crops)
    levels = settings.levels or [views.level_scale * step / 10 for step in (3, 5, 7, 9)]
    sheets = {
        f"ops_{i}": op_cells(evaluation_crop(example.image, views.image_size), levels, views)
        for i, example in enumerate(examples)
    }
    sheets["views"] = view_cells(
        build_recipe(pretrain, source),
        examples,
        seed_of=functools.partial(example_seed, seed),
        draws=settings.draws,
    )
    events = directory / "tensorboard"
    # Of a report on other images, more of which would stand between these.
    sheets_before = (x for x in directory.iterdir() if re.fullmatch(r"ops_\d+\.png", x.name))
    for before in [*sheets_before, *events.glob(f"*{_SUFFIX}")]:
        before.unlink()
    writer = tf.summary.create_file_writer(str(events), filename_suffix=_SUFFIX)
    with writer.as_default(step=0):
        for name, cells in sheets.items():
            path = directory / f"{name}.png"
            tf.summary.image(name, draw_sheet(cells, path)[None])
            print(path)
    writer.close()
    print(f"tensorboard --logdir={events}{source.unreadable.summary()}")


if __name__ == "__main__":
    command.run(main, ViewsReportSettings)
