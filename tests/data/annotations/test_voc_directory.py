import numpy as np
import pytest

from ssl_tf.data.annotations.voc_directory import VocLabelMaps, VocObjects
from ssl_tf.errors import SettingsError, UserError
from tests.data.annotations.annotated_files import read, write_voc

OBJECTS = {
    "000005": [("dog", 1, 2, 4, 6, False), ("person", 3, 1, 8, 6, True)],
    "000007": [],
}


def test_corners_count_from_one_and_lie_inside(tmp_path):
    directory = write_voc(tmp_path / "VOC2007", OBJECTS)
    source = VocObjects([directory], ["trainval"])
    assert source.num_classes == 20 and source.class_names[11] == "dog"
    first, second = read(source)
    assert (first["id"], second["id"]) == (b"000005", b"000007")
    np.testing.assert_allclose(first["boxes"], [[1 / 6, 0, 1, 4 / 8], [0, 2 / 8, 1, 1]], rtol=1e-6)
    np.testing.assert_array_equal(first["classes"], [11, 14])
    np.testing.assert_array_equal(first["difficult"], [False, True])
    np.testing.assert_array_equal(first["areas"], [20, 36])
    assert len(second["classes"]) == 0


def test_several_years_and_classes_of_ones_own(tmp_path):
    both = [write_voc(tmp_path / f"VOC{y}", {"1": [("kite", 1, 1, 3, 3, False)]}) for y in (1, 2)]
    source = VocObjects(both, ["trainval"])
    assert source.class_names == ("kite",)
    assert [example["id"] for example in read(source)] == [b"VOC1/1", b"VOC2/1"]
    held_out = VocObjects(both[:1], ["trainval"], classes=("boat", "kite"))
    assert read(held_out)[0]["classes"] == [1]
    other = VocObjects(both[:1], ["trainval"], classes=("boat",))
    assert other.bad.names == {"objects of other classes": ["kite of 1"]}


def test_label_maps_are_the_indices_of_the_palette(tmp_path):
    labels = np.zeros((6, 8), int)
    labels[2:4, 3:6] = 15
    labels[0] = 255
    directory = write_voc(tmp_path / "VOC2012", {"a": []}, maps={"a": labels})
    source = VocLabelMaps([directory], ["trainval"])
    assert source.num_classes == 21 and source.class_names[15] == "person"
    (example,) = read(source)
    np.testing.assert_array_equal(example["label_map"], labels)
    assert example["label_map"].dtype == np.int32


def test_what_is_missing_is_told(tmp_path):
    directory = write_voc(tmp_path / "VOC2007", OBJECTS)
    with pytest.raises(UserError, match="ImageSets/Main/val.txt cannot be read"):
        VocObjects([directory], ["val"])
    with pytest.raises(SettingsError, match="--voc_list=a,b"):
        VocObjects([directory], ["a", "b"])
    with pytest.raises(UserError, match="2 files of the list are missing, .*SegmentationClass"):
        VocLabelMaps([directory], ["trainval"])
    (tmp_path / "VOC2007/Annotations/000007.xml").write_text("<annotation>")
    with pytest.raises(UserError, match="000007.xml cannot be read"):
        VocObjects([directory], ["trainval"])
    (tmp_path / "VOC2007/JPEGImages/000007.jpg").unlink()
    with pytest.raises(UserError, match="1 files of the list are missing"):
        VocObjects([directory], ["trainval"])


def test_boxes_in_fractions_are_refused(tmp_path):
    directory = write_voc(tmp_path, {"1": [("dog", 0.5, 0.25, 0.75, 0.5, False)]})
    with pytest.raises(UserError, match="1 of 1 boxes .* give boxes as xmin, ymin, xmax and ymax"):
        VocObjects([directory], ["trainval"])


@pytest.mark.parametrize("other", ["-1", "0"])
def test_lists_of_a_class_that_have_images_without_it_are_refused(tmp_path, other):
    objects = {name: [("car", 1, 1, 4, 4, False)] for name in ("1", "2")}
    directory = write_voc(tmp_path, objects)
    path = tmp_path / "ImageSets/Main/car_train.txt"
    path.write_text(f"1  1\n2 {other:>2}\n")
    with pytest.raises(SettingsError, match="car_train.txt is VOC's list of one class"):
        VocObjects([directory], ["car_train"])
    path.write_text("2  1\n")
    assert [example["id"] for example in read(VocObjects([directory], ["car_train"]))] == [b"2"]


@pytest.mark.parametrize("text", ["1", " 1 ", "true", "True", "1.0"])
def test_a_difficult_object_may_be_written_by_other_programs(tmp_path, text):
    directory = write_voc(tmp_path, {"1": [("dog", 1, 1, 4, 4, True)]})
    path = tmp_path / "Annotations/1.xml"
    written = path.read_text().replace("<difficult>1<", f"<difficult>{text}<")
    path.write_text(written.replace("<name>dog<", "<name> dog\n<"))
    (example,) = read(VocObjects([directory], ["trainval"]))
    assert example["difficult"].tolist() == [True] and example["classes"].tolist() == [11]
    path.write_text(written.replace(f"<difficult>{text}<", "<difficult>perhaps<"))
    bad = VocObjects([directory], ["trainval"]).bad
    assert bad.names == {"objects whose difficult is neither 0 nor 1": ["dog of 1"]}


def test_label_maps_of_other_classes_need_their_names(tmp_path):
    labels = np.zeros((6, 8), int)
    labels[2] = 1
    objects = {"a": [("cup", 1, 1, 4, 4, False)]}
    directory = write_voc(tmp_path / "cups", objects, maps={"a": labels})
    with pytest.raises(UserError, match=r"not VOC's \(cup\), .* give --label_names=FILE"):
        VocLabelMaps([directory], ["trainval"])
    source = VocLabelMaps([directory], ["trainval"], ("table", "cup"))
    assert (source.num_classes, source.class_names) == (2, ("table", "cup"))
    np.testing.assert_array_equal(read(source)[0]["label_map"], labels)


def test_images_of_directories_of_one_name_have_ids_of_their_own(tmp_path):
    objects = {"1": [("dog", 1, 1, 3, 3, False)]}
    both = [write_voc(tmp_path / part / "VOC2007", objects) for part in ("a", "b")]
    ids = [example["id"].decode() for example in read(VocObjects(both, ["trainval"]))]
    assert ids == [f"{directory}/1" for directory in both]
