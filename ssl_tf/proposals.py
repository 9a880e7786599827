"""Makes, shows and checks proposals: boxes for object crops.

`python -m ssl_tf.proposals import|inspect|verify|shuffle`

`import --input=FILE --output=DIR` makes a store from JSON, COCO-style JSON, CSV, OpenImages CSV or
a NumPy dictionary; `inspect --proposals=DIR` shows what one holds; `verify --proposals=DIR` reads
it through and, given images (--dataset, --image_folder or --tfrecord), compares the ids;
`shuffle --proposals=DIR --output=DIR` gives each image the boxes of another, a control for crops.
"""

import dataclasses
import itertools

from ssl_tf import command
from ssl_tf.errors import printable
from ssl_tf.settings import (
    ImportProposalsSettings,
    InspectSettings,
    ShuffleSettings,
    StoreSettings,
    fields,
)

# Shares of the boxes whose largest area is printed.
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def import_boxes(settings: ImportProposalsSettings) -> None:
    """Writes a store, and prints what it contains and what was left out."""
    from ssl_tf.data.proposals.format import write_proposals
    from ssl_tf.data.proposals.importing import Importer

    importer = Importer(
        drop_bad=settings.bad_boxes == "drop",
        template=settings.id_template,
        image_folder=settings.image_folder,
    )
    manifest = write_proposals(
        settings.output,
        importer.images(settings.input),
        generator="import",
        settings=dataclasses.asdict(settings),
        max_boxes=settings.max_boxes,
    )
    print(f"{settings.output}: {_summary(manifest)}")
    for reason, count in importer.dropped.most_common():
        print(f"{count} boxes left out: {reason}")


def inspect(settings: InspectSettings) -> None:
    """Prints the manifest, the distribution of the boxes, and a few images."""
    import numpy as np

    from ssl_tf.data.proposals.store import ProposalStore

    store = ProposalStore(settings.data.proposals)
    manifest = store.manifest
    print(f"{store.path}: {_summary(manifest)}")
    print(f"made by {manifest.generator}")
    for name, value in manifest.settings.items():
        print(f"  {name} = {value}")
    _, splits, boxes = store.read()
    counts = np.bincount(np.diff(splits))
    print("boxes an image: " + ", ".join(f"{n}: {c}" for n, c in enumerate(counts) if c))
    if len(boxes):
        areas = np.quantile(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), _QUANTILES)
        shares = (f"{share:.0%}: {area:.3f}" for share, area in zip(_QUANTILES, areas))
        print(f"area of a box (share of the boxes up to it): {', '.join(shares)}")
    for image in itertools.islice(store.images(), settings.records):
        print(f"{printable(image.image_id)} ({image.width}x{image.height})")
        for box, score in zip(image.boxes, image.scores):
            print(f"  {score:.4g}: " + ", ".join(f"{side:.4f}" for side in box))


def verify(settings: StoreSettings) -> None:
    """Reads the store through and, given images, compares their ids."""
    from ssl_tf.data.proposals.store import ProposalStore
    from ssl_tf.data.sources.opening import open_split, with_boxes

    data = settings.data
    ProposalStore(data.proposals).verify()
    print(f"{data.proposals}: whole")
    if data.named:
        with_boxes(open_split(data), data)


def shuffle(settings: ShuffleSettings) -> None:
    """Writes a store in which each image has the boxes of another, drawn by a seed."""
    from ssl_tf.data.proposals.format import write_proposals
    from ssl_tf.data.proposals.shuffled_boxes import shuffled
    from ssl_tf.data.sources.opening import open_training_source

    source, _ = open_training_source(settings.data, boxes=True)
    manifest = write_proposals(
        settings.output,
        shuffled(source, settings.seed),
        generator="shuffle",
        settings=fields.as_dict(settings),
        max_boxes=None,
    )
    print(f"{settings.output}: {_summary(manifest)}")


def _summary(manifest) -> str:
    """What a store contains; told if images had more boxes than were kept of one."""
    left_out = manifest.boxes_left_out
    most = manifest.settings.get("max_boxes")
    more = f"; {left_out} boxes left out, beyond --max_boxes={most} of an image" if left_out else ""
    return (
        f"{manifest.images} images, {manifest.boxes} boxes of mean area {manifest.mean_area:.3f}, "
        f"{manifest.images_without_boxes} images without a box{more}"
    )


ACTIONS = {
    "import": (import_boxes, ImportProposalsSettings),
    "inspect": (inspect, InspectSettings),
    "verify": (verify, StoreSettings),
    "shuffle": (shuffle, ShuffleSettings),
}

if __name__ == "__main__":
    command.run_action(ACTIONS)
