"""Names of classes that repeat: reports keep figures by name, so each needs one of its own."""

import json
from pathlib import Path

from ssl_tf.data.annotations.annotated_source import distinct_names
from ssl_tf.data.annotations.coco_json import CocoImages
from tests.data.annotations.annotated_files import write_coco


def test_a_name_that_repeats_gets_the_id_of_its_class():
    names = ("background", "cat", "dog", "cat", "background", "cat #3")
    assert distinct_names(names, range(6)) == (
        "background", "cat", "dog", "cat #3", "background #4", "cat #3 #5",
    )  # fmt: skip
    assert distinct_names((), range(3)) == ()


def test_no_category_hides_another_or_the_background(tmp_path):
    path, images = write_coco(tmp_path, [], categories=range(3))
    content = json.loads(Path(path).read_text())
    for category, name in zip(content["categories"], ("background", "cat", "cat")):
        category["name"] = name
    Path(path).write_text(json.dumps(content))
    source = CocoImages(path, images, label_maps=True)
    assert len(set(source.class_names)) == source.num_classes == 4
    assert source.class_names[0] == "background"
