"""The built-in scenes with boxes, masks or label maps of what is visible."""

import io

import numpy as np
from PIL import Image

from ssl_tf.data.annotations.annotated_source import BACKGROUND, AnnotatedSource
from ssl_tf.data.annotations.object_table import BadAnnotations, ObjectRows
from ssl_tf.data.scenes.rendered import RenderedScenes


class AnnotatedScenes(AnnotatedSource):
    """Scenes whose boxes and masks are those of the visible part of an object, as in COCO.

    The mask of a shape is where it was painted, less what lies over it. The mask of an image that
    was pasted is its square, less what lies over it: what the image shows in it is not known. An
    object that is wholly hidden is left out. In a label map 0 is the ground.
    """

    def __init__(
        self,
        scenes: RenderedScenes,
        *,
        masks: bool = False,
        label_maps: bool = False,
        one_class: bool = False,
    ):
        """
        Args:
            scenes: all of a split.
            masks: give the masks of the objects.
            label_maps: give label maps in place of the objects.
            one_class: all objects are of the class "object".
        """
        self._encoded_images = [
            example.numpy() for example in scenes.sequence().map(lambda example: example["image"])
        ]
        self._owners = scenes.owners
        (self._kind,) = scenes.places()
        self._scene_details = list(scenes.details())
        # Of each scene, the numbers of the objects that are visible.
        self._visible: list[np.ndarray] = []
        rows = ObjectRows(BadAnnotations())
        for owners, labels in zip(map(_decode, scenes.owners), scenes.box_labels):
            rows.begin_image()
            visible = [n for n in range(1, len(labels) + 1) if (owners == n).any()]
            for number in visible:
                y, x = np.nonzero(owners == number)
                box = (y.min(), x.min(), y.max() + 1, x.max() + 1)
                label = 0 if one_class else int(labels[number - 1])
                rows.add("", box, owners.shape, label, area=len(y))
            self._visible.append(np.array(visible, np.int64))
        objects = rows.table()
        names = ("object",) if one_class else scenes.class_names
        super().__init__(
            f"{scenes.name}, annotated",
            [example.numpy() for example in scenes.ids()],
            len(names) + label_maps,
            (BACKGROUND, *names) if label_maps else names,
            objects=objects,
            label_maps=label_maps,
            masks=masks,
        )

    def _encoded(self, row: int) -> bytes:
        return self._encoded_images[row]

    def places(self) -> dict[str, np.ndarray]:
        return {self._kind: self._row_numbers()}

    def _detail(self, row: int) -> bytes:
        return self._scene_details[row]

    def _masks(self, row: int, size: tuple[int, int]) -> np.ndarray:
        return _decode(self._owners[row])[None] == self._visible[row][:, None, None]


def _decode(owners: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(owners)))
