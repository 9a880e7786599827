"""The choice of the labelled train images and of the validation images."""

from pathlib import Path

from ssl_tf.data.labels import choose_share, read_annotations
from ssl_tf.data.source import Source
from ssl_tf.data.sources.memory import in_memory
from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.finetuning import LabelledImages
from ssl_tf.settings import LabelSettings


def choose_labelled(
    train: Source, test: Source, settings: LabelSettings, path: Path
) -> LabelledImages:
    """Chooses the labelled share of the train images, and the validation images.

    Args:
        train: all train images, labelled.
        test: test images, returned unchanged.
        settings: of the labels.
        path: text file for the ids of the labelled images, written if they are not all.

    Raises:
        UserError: a class is empty, the list is of other images, or there are too few images.
    """
    labelled, rest = train, None
    if settings.labels_from or settings.label_fraction < 1:
        ids, labels = read_annotations(train)
        keep, description = choose_share(train, ids, labels, settings, path)
        labelled = in_memory(train.part(keep, f"{train.name}, {description}"))
        rest = train.part(~keep, f"{train.name}, unlabelled")
    count = settings.validation
    if not count:
        return LabelledImages(labelled, test)
    pool = rest if settings.validation_of == "rest" else labelled
    if count >= pool.size:
        raise SettingsError(
            f"--validation={count}: {pool.name} has {pool.size} images; hold out fewer"
        )
    remaining, validation = pool.hold_out(count)
    if pool is rest:
        return LabelledImages(labelled, test, validation)
    return LabelledImages(remaining, test, validation, labelled if settings.refit else None)
