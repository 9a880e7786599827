"""Other people's boxes: every kind of file, and every way in which one can be bad."""

import json

import numpy as np
import pytest

from ssl_tf import command
from ssl_tf.data.proposals.importing import Importer
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.proposals import ACTIONS
from ssl_tf.settings import ImportProposalsSettings, flagfiles
from tests.data.tiny_images import png, write_folder

BOXES = {"a": [[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]], "b": [[0.25, 0.5, 0.75, 1.0]], "c": []}


def read(path, **options):
    return {image.image_id: image for image in Importer(**options).images(str(path))}


def boxes_of(images):
    return {identity: image.boxes.tolist() for identity, image in images.items()}


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def write_csv(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def coco(boxes, **changes):
    """In pixels of 200x100 images."""
    images = [dict(id=i, file_name=f"{n}.jpg", width=200, height=100) for i, n in enumerate(boxes)]
    annotations = [
        dict(image_id=i, bbox=[200 * x0, 100 * y0, 200 * (x1 - x0), 100 * (y1 - y0)])
        for i, of_image in enumerate(boxes.values())
        for y0, x0, y1, x1 in of_image
    ]
    return {"images": images, "annotations": annotations} | changes


def test_json_of_ids(tmp_path):
    assert boxes_of(read(write_json(tmp_path / "a.json", BOXES))) == BOXES
    scored = {"a": [[*box, score] for box, score in zip(BOXES["a"], (0.3, 0.9))]}
    images = read(write_json(tmp_path / "b.json", scored))
    np.testing.assert_array_equal(images["a"].scores, np.float32([0.3, 0.9]))


def test_json_of_objects(tmp_path):
    content = [dict(id=i, boxes=b, height=10, width=20) for i, b in BOXES.items()]
    content[1]["scores"] = [0.5]
    images = read(write_json(tmp_path / "a.json", content))
    assert boxes_of(images) == BOXES
    assert images["b"].scores == 0.5 and (images["b"].height, images["b"].width) == (10, 20)


def test_csv_columns_by_name(tmp_path):
    path = write_csv(
        tmp_path / "a.csv", "width,xmax,id,ymin,score,xmin,ymax,height",
        "20,0.6,a,0.1,0.5,0.2,0.5,10", "20,1.0,a,0.0,0.25,0.0,1.0,10", "",
        "40,1.0,b,.25,1,.5,.75,30",
    )  # fmt: skip
    images = read(path)
    assert boxes_of(images) == {key: BOXES[key] for key in "ab"}
    assert images["a"].scores.tolist() == [0.5, 0.25]
    assert (images["b"].height, images["b"].width) == (30, 40)


def test_openimages_csv(tmp_path):
    path = write_csv(
        tmp_path / "train.csv",
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf",
        "a,xclick,/m/1,1,0.2,0.6,0.1,0.5,0,0",
        "a,xclick,/m/2,1,0,1,0,1,0,-1",
        "a,xclick,/m/2,1,0,1,0,1,0,1",
        "b,xclick,/m/1,1,0.5,1,0.25,0.75,1,0",
    )
    importer = Importer()
    images = {image.image_id: image for image in importer.images(str(path))}
    assert boxes_of(images) == {key: BOXES[key] for key in "ab"}
    assert importer.dropped == {"a crowd is around several objects (iscrowd, IsGroupOf)": 1}
    assert list(read(path, template="train/{id}.jpg")) == ["train/a.jpg", "train/b.jpg"]
    # As pandas writes it again, and as nobody does.
    text = path.read_text()
    path.write_text(text.replace("1,0,1\n", "1,0,True\n"))
    assert boxes_of({image.image_id: image for image in Importer().images(str(path))}) == boxes_of(
        images
    )
    path.write_text(text.replace("1,0,1\n", "1,0,many\n"))
    with pytest.raises(UserError, match="line 4: IsGroupOf is 'many'; write 1 or 0"):
        list(Importer().images(str(path)))


def test_coco_json(tmp_path):
    path = write_json(tmp_path / "instances.json", coco(BOXES))
    images = read(path)
    assert list(images) == ["a.jpg", "b.jpg", "c.jpg"]
    for (name, boxes), image in zip(BOXES.items(), images.values()):
        np.testing.assert_allclose(image.boxes, np.reshape(boxes, [-1, 4]), atol=1e-12)
        assert (image.height, image.width) == (100, 200)
    assert list(read(path, template="{id}")) == ["0", "1", "2"]
    assert list(read(path, template="x/{stem}")) == ["x/a", "x/b", "x/c"]
    with pytest.raises(SettingsError, match="--id_template={other}: give text"):
        read(path, template="{other}")


def test_fractions_in_coco_are_told_and_single_dots_are_no_matter(tmp_path):
    content = coco(BOXES)
    for annotation in content["annotations"][:-1]:
        annotation["bbox"] = [0.25, 0.25, 0.5, 0.5]
    path = write_json(tmp_path / "fractions.json", content)
    count = len(content["annotations"])
    with pytest.raises(UserError, match=f"{count - 1} of {count} boxes have a side below a pixel"):
        read(path)
    few = coco(BOXES)
    few["annotations"][0]["bbox"] = [0.25, 0.25, 0.5, 0.5]
    assert len(read(write_json(tmp_path / "few.json", few))["a.jpg"].boxes) == len(BOXES["a"])


def test_keys_of_annotations_that_are_not_read_are_told(tmp_path, capsys):
    content = coco(BOXES)
    content["annotations"][0] |= {"score": 0.75}
    content["annotations"][1] |= {"confidence": 0.5, "score": 0.25, "area": 3, "category_id": 1}
    images = read(write_json(tmp_path / "scored.json", content))
    np.testing.assert_array_equal(images["a.jpg"].scores, np.float32([0.75, 0.25]))
    assert images["b.jpg"].scores == 1
    assert "scored.json: keys that are not read: confidence\n" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_crowds_of_coco_are_left_out_and_counted(tmp_path, key):
    content = coco({"a": [*BOXES["a"], BAD["it has no area"]], "b": BOXES["b"]})
    for annotation, crowd in zip(content["annotations"], ("0", "1", 1, 0.0)):
        annotation[key] = crowd
    importer = Importer()
    images = list(importer.images(str(write_json(tmp_path / "instances.json", content))))
    assert [image.image_id for image in images] == ["a.jpg", "b.jpg"]
    for image, box in zip(images, ([0.1, 0.2, 0.5, 0.6], [0.25, 0.5, 0.75, 1.0])):
        np.testing.assert_allclose(image.boxes, [box], atol=1e-12)
    assert importer.dropped == {"a crowd is around several objects (iscrowd, IsGroupOf)": 2}


def test_a_crowd_is_told_by_0_or_1(tmp_path):
    content = coco(BOXES)
    content["annotations"][1]["iscrowd"] = "no"
    with pytest.raises(UserError, match="annotation 1: iscrowd is 'no'; write 1 or 0"):
        read(write_json(tmp_path / "instances.json", content))


def test_numpy_dictionary_of_coco(tmp_path):
    folder = write_folder(tmp_path / "images", {"train/0007.png": png(0, height=20, width=40)})
    content = {
        "coco_crops_new/0007_1.jpg": [0, 0, 40, 20],
        "coco_crops_new/0007_0.jpg": np.array([8, 2, 24, 10]),
    }
    np.save(tmp_path / "crops.npy", content)
    options = dict(image_folder=folder)
    (image,) = read(tmp_path / "crops.npy", **options).values()
    assert image.image_id == "train/0007.png" and (image.height, image.width) == (20, 40)
    np.testing.assert_allclose(image.boxes, BOXES["a"])
    assert list(read(tmp_path / "crops.npy", template="{id}", **options)) == ["7"]
    with pytest.raises(UserError, match="no sizes of images: give --image_folder"):
        read(tmp_path / "crops.npy")
    np.save(tmp_path / "crops.npy", {f"{x}/0007_1.jpg": [0, 0, 9, 9] for x in ("train", "val")})
    with pytest.raises(UserError, match="has boxes of train/0007 and of val/0007, which are im"):
        read(tmp_path / "crops.npy", **options)
    np.save(tmp_path / "crops.npy", {"coco_crops_new/0008_0.jpg": [0, 0, 40, 20]})
    with pytest.raises(UserError, match="0008_0.jpg': --image_folder=.* has no image 0008"):
        read(tmp_path / "crops.npy", **options)


def test_numpy_dictionary_of_ohms(tmp_path):
    rows = [
        ["a", "xclick", "/m/1", "1", "0.2", "0.6", "0.1", "0.5", "0"],
        ["a", "xclick", "/m/2", 1, 0, 1, 0, 1, 0],
    ]
    np.save(tmp_path / "ohms.npy", {"a": {"data": rows}})
    assert boxes_of(read(tmp_path / "ohms.npy")) == {"a": BOXES["a"]}
    np.save(tmp_path / "ohms.npy", {"a": {"data": [rows[0][:6]]}})
    with pytest.raises(UserError, match="image 'a', row 0: 6 columns"):
        read(tmp_path / "ohms.npy")


def test_groups_in_whole_rows_of_ohms_are_left_out(tmp_path):
    # IsOccluded, IsTruncated, IsGroupOf, IsDepiction, IsInside
    one = ["a", "xclick", "/m/1", "1", "0.2", "0.6", "0.1", "0.5", "1", "1", "0", "1", "1"]
    group = ["a", "xclick", "/m/2", 1, 0, 1, 0, 1, 0, 0, 1, 0, 0]
    np.save(tmp_path / "ohms.npy", {"a": {"data": [group, one]}})
    importer = Importer()
    (image,) = importer.images(str(tmp_path / "ohms.npy"))
    np.testing.assert_allclose(image.boxes, [[0.1, 0.2, 0.5, 0.6]])
    assert sum(importer.dropped.values()) == 1
    np.save(tmp_path / "ohms.npy", {"a": {"data": [[*group[:10], "x"]]}})
    with pytest.raises(UserError, match="image 'a', row 0: IsGroupOf is 'x'; write 1 or 0"):
        read(tmp_path / "ohms.npy")


class Trap:
    """Unpickling it leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_in_a_pickle_is_run(tmp_path):
    np.save(tmp_path / "a.npy", {"a": Trap(str(tmp_path / "trace"))})
    with pytest.raises(UserError, match="a.npy names .*open, which is no number, text or array"):
        read(tmp_path / "a.npy")
    assert not (tmp_path / "trace").exists()


BAD = {
    "its corners are swapped": [0.5, 0.2, 0.1, 0.6],
    "it lies outside of the image": [0.1, 0.2, 0.5, 1.02],
    "it has no area": [0.1, 0.2, 0.5, 0.2],
    "a side is no finite number": [0.1, float("nan"), 0.5, 0.6],
}


@pytest.mark.parametrize("message", BAD)
@pytest.mark.parametrize("kind", ["json", "csv", "openimages", "coco"])
def test_bad_boxes_are_named_with_file_and_record(kind, message, tmp_path):
    box = BAD[message]
    good = BOXES["b"][0]
    if kind == "json":
        path, place = write_json(tmp_path / "f.json", {"a": [good, box]}), "image 'a', box 1"
    elif kind == "csv":
        rows = [",".join(map(str, ["a", *b])) for b in (good, box)]
        path, place = write_csv(tmp_path / "f.csv", "id,ymin,xmin,ymax,xmax", *rows), "line 3"
    elif kind == "openimages":
        rows = [f"a,{b[1]},{b[3]},{b[0]},{b[2]}" for b in (good, box)]
        path = write_csv(tmp_path / "f.csv", "ImageID,XMin,XMax,YMin,YMax", *rows)
        place = "line 3"
    else:
        path, place = write_json(tmp_path / "f.json", coco({"a": [good, box]})), "annotation 1"
    with pytest.raises(UserError, match=f"{path}, {place}, .*{message}.*--bad_boxes=drop") as error:
        read(path)
    assert "\n" not in str(error.value)
    importer = Importer(drop_bad=True)
    (image,) = importer.images(str(path))
    np.testing.assert_allclose(image.boxes, [good], atol=1e-12)
    assert importer.dropped == {message: 1}


def test_the_rounding_of_pixels_is_cut_off(tmp_path):
    path = write_json(tmp_path / "a.json", {"a": [[-0.004, 0.5, 0.5, 1.009]]})
    assert boxes_of(read(path)) == {"a": [[0.0, 0.5, 0.5, 1.0]]}


HEAD = "id,ymin,xmin,ymax,xmax\n"


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("f.csv", "id,ymin,xmin,ymax\n", "line 1: no column xmax; it has id, ymin"),
        ("f.csv", "id,ymin,xmin,ymax,xmax\na,0,0,1\n", "line 2: 4 columns, where the header has 5"),
        ("f.csv", "id,ymin,xmin,ymax,xmax\na,0,0,1,x\n", "line 2: expected numbers"),
        (
            "f.csv", "id,ymin,xmin,ymax,xmax\na,0,0,1,1\nb,0,0,1,1\na,0,0,1,1\n",
            "line 4: image 'a' has had its boxes before",
        ),
        ("f.json", '{"a": [[0, 0, 1, 1]], "a": []}', "'a' comes twice"),
        ("f.json", '[{"id": 1, "boxes": []}, {"id": 1, "boxes": []}]', "image 1: .* before"),
        ("f.json", '{"a": [[0, 0, 1, 1]]', "is no JSON"),
        ("f.json", '{"a": [[0, 0, 1]]}', "image 'a', box 0: expected 4 numbers"),
        ("f.csv", f"{HEAD}a,0,0,1,1_0\n", "line 2: expected numbers"),
        ("f.csv", f"id,{HEAD}a,a,0,0,1,1\n", "line 1: the column id comes twice"),
        ("f.csv", f"{HEAD},0,0,1,1\n", "line 2: the id is empty"),
        ("f.csv", f"{HEAD}{'a' * 200_000},0,0,1,1\n", "no CSV file: field larger than"),
        ("f.csv", f"{HEAD}ä,0,0,1,1\n".encode("latin-1"), "no text in UTF-8 .*: save it as UTF-8"),
        ("f.csv", f"{HEAD}a,0,0,1,1\n".encode("utf-16"), "no text in UTF-8"),
        ("f.csv", f"height,width,{HEAD}-4,9,a,0,0,1,1\n", "line 2: -4.0 is no height or width"),
        ("f.csv", f"height,width,{HEAD}inf,9,a,0,0,1,1\n", "line 2: inf is no height or width"),
        ("f.csv", f"height,width,{HEAD}9,1e19,a,0,0,1,1\n", "line 2: 1e.19 is no height or width"),
        ("f.csv", f"score,{HEAD}best,a,0,0,1,1\n", "line 2: expected numbers, not 'best'"),
        ("f.json", '{"a": ["0011"]}', "image 'a', box 0: expected numbers, not '0011'"),
        ("f.json", '{"a": [[0, 0, true, 1]]}', r"box 0: expected numbers, not \[0, 0, True, 1\]"),
        ("f.json", '{"a": [["0", 0, 1, 1]]}', "box 0: expected numbers"),
        ("f.json", '{"a": [{"0": 1}]}', "box 0: expected numbers"),
        ("f.json", f'{{"a": [[0, 0, 1, 1{"0" * 400}]]}}', "box 0: expected numbers"),
        ("f.json", f'{{"a": [[0, 0, 1, 1, 1{"0" * 60}]]}}', "its score is no finite number"),
        # A box without a score would be the best, or the worst, of its image.
        ("f.json", '{"a": [[0, 0, 1, 1, 0.3], [0, 0, 1, 0.5]]}', "box 1: a box has no score, and"),
        (
            "f.json", '[{"id": 1, "boxes": [[0, 0, 1, 1, 0.3]], "scores": [0.5]}]',
            "image 1, box 0: it has a score, and another one in scores",
        ),
        (
            "f.json",
            json.dumps(
                coco(
                    {"a": []},
                    annotations=[
                        {"image_id": 0, "bbox": [0, 0, 9, 9]},
                        {"image_id": 0, "bbox": [0, 0, 9, 9], "score": 0.1},
                    ],
                )
            ),
            "annotation 0: a box has no score, and others of its image have one",
        ),
        ("f.json", "[" * 100_000, "is no JSON of boxes: .*recursion"),
        ("f.json", b'{"\xe4": []}', "no text in UTF-8"),
        ("f.json", '{"\\ud800": []}', "no text in UTF-8 .surrogates"),
        ("f.json", '{"": []}', "image '': the id is empty"),
        ("f.json", '[{"id": null, "boxes": []}]', "expected an id or a name, not None"),
        ("f.json", '[{"id": [1], "boxes": []}]', "expected an id or a name"),
        ("f.json", '[{"id": 1, "boxes": [[0, 0, 1, 1]], "scores": 5}]', "a score each"),
        ("f.json", '[{"id": 1, "boxes": [[0, 0, 1, 1]], "scores": ["x"]}]', "expected numbers"),
        ("f.json", '[{"id": 1, "boxes": [], "height": -4}]', "-4 is no height or width in pixels"),
        ("f.json", '[{"id": 1, "boxes": [], "height": 1e999}]', "inf is no height or width"),
        ("f.json", '[{"id": 1, "boxes": [], "height": 1e19}]', "is no height or width"),
        ("f.json", '[{"id": 1, "boxes": [], "height": "4"}]', "expected numbers, not '4'"),
        ("f.json", json.dumps(coco({}, images=3)), "expected a list of images"),
        ("f.json", json.dumps(coco({}, annotations={"a": 1})), "expected a list of annotations"),
        ("f.json", json.dumps(coco({}, images=[3])), "image 0: expected id, file_name, width"),
        (
            "f.json",
            json.dumps(coco({}, images=[dict(id=[1], file_name="a", width=1, height=1)])),
            "image 0: expected an id or a name",
        ),
        (
            "f.json",
            json.dumps(coco({}, images=[dict(id=1, file_name="a", width="x", height=1)])),
            "image 0: expected numbers, not 'x'",
        ),
        (
            "f.json", json.dumps(coco({"a": []}, annotations=[{"image_id": [0], "bbox": [0] * 4}])),
            "annotation 0: its image_id",
        ),
        (
            "f.json",
            json.dumps(
                coco({"a": []}, annotations=[{"image_id": 0, "bbox": [0, 0, 9, 9], "score": "x"}])
            ),
            "annotation 0: expected numbers, not 'x'",
        ),
        (
            "f.json", json.dumps(coco({"a": []}, annotations=[{"image_id": 0, "bbox": "1234"}])),
            "annotation 0: expected numbers, not '1234'",
        ),
        ("f.json", '{"a": 3}', "image 'a': expected a list of boxes"),
        ("f.json", "3", "expected an object of id: boxes"),
        ("f.json", '["a"]', "entry 0: expected an object"),
        ("f.json", json.dumps(coco({"a": []}, images=[{"id": 1}])), "image 0: expected id, file_"),
        (
            "f.json", json.dumps(coco({"a": []}, annotations=[{"image_id": 7, "bbox": [0] * 4}])),
            "annotation 0: its image_id",
        ),
        ("f.json", json.dumps(coco({"a": []}, annotations=[{"image_id": 0}])), "annotation 0: exp"),
        ("f.npy", "", "cannot be read"),
        ("f.txt", "", "give a .json, .csv or .npy file"),
    ],
)  # fmt: skip
def test_bad_files(name, content, message, tmp_path):
    content = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "content, message",
    [
        ({"a": 3}, "image 'a': expected a dictionary with rows under 'data'"),
        ({"a": {"data": 3}}, "image 'a': expected a dictionary with rows"),
        ({"a": {"data": [3]}}, "image 'a', row 0: expected columns, not 3"),
        ({"a": {"data": ["abcdefgh"]}}, "image 'a', row 0: expected columns"),
        ({"a": {"data": [["x"] * 8]}}, "image 'a', row 0: expected numbers"),
        ({"a": {"data": [[True] * 8]}}, "image 'a', row 0: expected numbers"),
    ],
)
def test_bad_numpy_dictionaries_of_ohms(content, message, tmp_path):
    # The first entry decides on the kind of dictionary.
    good = {"first": {"data": []}}
    np.save(tmp_path / "f.npy", good | content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "f.npy")


def test_files_as_excel_writes_them(tmp_path):
    (tmp_path / "f.csv").write_bytes(f"{HEAD}a,0,0.5,1,1\r\n".encode("utf-8-sig"))
    assert boxes_of(read(tmp_path / "f.csv")) == {"a": [[0.0, 0.5, 1.0, 1.0]]}
    (tmp_path / "f.json").write_bytes(json.dumps(BOXES).encode("utf-8-sig"))
    assert boxes_of(read(tmp_path / "f.json")) == BOXES


@pytest.mark.parametrize(
    "template", ["{other}", "{0}", "{", "{id!r}", "{id.__class__}", "{id:>9999999999}", "{id:{id}}"]
)
def test_templates_that_cannot_be_filled_are_wrong_flags(template):
    flags = ["--input=a.json", "--output=b", f"--id_template={template}"]
    with pytest.raises(SettingsError, match="--id_template=.*: give text with"):
        flagfiles.parse(flags, ImportProposalsSettings)


def test_a_template_may_have_a_width(tmp_path):
    path = write_json(tmp_path / "a.json", {"7": []})
    assert list(read(path, template="train/{id:0>12}.jpg")) == ["train/000000000007.jpg"]


def test_two_images_of_one_stem_are_told(tmp_path):
    files = {"train/7.png": png(0), "val/7.jpg": png(1), "val/8.png": png(2, height=20, width=40)}
    folder = write_folder(tmp_path / "images", files)
    options = dict(image_folder=folder)
    np.save(tmp_path / "crops.npy", {"x/8_0.jpg": [0, 0, 40, 10]})
    assert boxes_of(read(tmp_path / "crops.npy", **options)) == {"val/8.png": [[0, 0, 0.5, 1]]}
    np.save(tmp_path / "crops.npy", {"x/7_0.jpg": [0, 0, 8, 6]})
    with pytest.raises(UserError, match=r"has 2 images 7 \((train/7.png|val/7.jpg), .*7"):
        read(tmp_path / "crops.npy", **options)


def test_the_command_imports_inspects_and_verifies(tmp_path, capsys):
    path = write_json(tmp_path / "a.json", BOXES | {"d": [BAD["it has no area"]]})
    output = tmp_path / "store"

    def run(*arguments):
        command.run_action(ACTIONS, arguments)
        return capsys.readouterr()

    with pytest.raises(SystemExit) as stopped:
        run("import", f"--input={path}", f"--output={output}")
    assert stopped.value.code == 1 and "image 'd'" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [path]
    told = run("import", f"--input={path}", f"--output={output}", "--bad_boxes=drop").out
    assert "4 images, 3 boxes of mean area 0.470, 2 images without a box" in told
    assert "1 boxes left out: it has no area" in told and "--max_boxes" not in told
    assert ProposalStore(output).manifest.settings["input"] == str(path)
    told = run("inspect", f"--proposals={output}", "--records=1").out
    assert "boxes an image: 0: 2, 1: 1, 2: 1" in told and "input = " in told
    assert "a (0x0)\n  1: 0.1000, 0.2000, 0.5000, 0.6000\n" in told and "\nb (" not in told
    assert "store: whole" in run("verify", f"--proposals={output}").out
    images = write_folder(tmp_path / "images", {f"{name}.png": png(0) for name in "abcde"})
    with pytest.raises(SystemExit):
        run("verify", f"--proposals={output}", f"--image_folder={images}")
    assert "no id of " in capsys.readouterr().err
    cut = tmp_path / "cut"
    told = run(
        "import", f"--input={path}", f"--output={cut}", "--bad_boxes=drop", "--max_boxes=1"
    ).out
    assert "4 images, 2 boxes" in told
    assert "without a box; 1 boxes left out, beyond --max_boxes=1 of an image\n" in told
    assert "1 boxes left out, beyond" in run("inspect", f"--proposals={cut}").out
    output = tmp_path / "named"
    run(
        "import", f"--input={path}", f"--output={output}", "--bad_boxes=drop",
        "--id_template={id}.png",
    )  # fmt: skip
    told = run("verify", f"--proposals={output}", f"--image_folder={images}").err
    assert "3 of 5 images have no proposal" in told


@pytest.mark.parametrize("arguments", [[], ["make"], ["import"], ["inspect"], ["verify", "--x=1"]])
def test_a_wrong_command_line_ends_with_its_code(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run_action(ACTIONS, arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_scores_are_read_in_either_spelling_and_what_is_not_read_is_told(tmp_path, capsys):
    path = write_csv(
        tmp_path / "a.csv", "ImageID,Score,XMin,XMax,YMin,YMax,Detector",
        "a,0.25,0.2,0.6,0.1,0.5,x", "a,0.5,0,1,0,1,x",
    )  # fmt: skip
    assert read(path)["a"].scores.tolist() == [0.25, 0.5]
    assert capsys.readouterr().err == f"{path}: columns that are not read: Detector\n"
    content = [{"id": "a", "boxes": BOXES["a"], "score": [0.25, 0.5], "confidence": [1, 1]}]
    path = write_json(tmp_path / "a.json", content)
    assert sorted(read(path)["a"].scores.tolist()) == [0.25, 0.5]
    assert capsys.readouterr().err == f"{path}: keys that are not read: confidence\n"
