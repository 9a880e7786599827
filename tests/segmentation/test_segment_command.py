"""`python -m ssl_tf.segment` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest

from ssl_tf import command, segment
from ssl_tf.settings import SegmentSettings
from ssl_tf.training import resumption
from tests.data.annotations.annotated_files import label_png, write_maps
from tests.segmentation.small_segmentation import NETWORK, SMALL

FLAGS = (
    *NETWORK,
    *(flag for flag in SMALL if not flag.startswith(("--output=", "--steps"))),
    "--scenes=16",
    "--scene_size=32",
    "--label_fraction=0.5",
    "--steps=2",
    "--head=fcn",
    "--logical_cpus=1",
)

VOC = ("--dataset=voc/2007", "--output=O", "--depth=18", "--width=0.0625", "--logical_cpus=1")


def start(*flags):
    command.run(segment.main, SegmentSettings, [*FLAGS, *flags])


def test_the_segmentations_of_a_run_are_its_own(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "flags.txt").write_text("--dataset=scenes\n")
    with pytest.raises(SystemExit):
        start(f"--output={run / 'segmentation'}")
    assert "lies in the directory of a run" in capsys.readouterr().err
    assert not (run / "segmentation").exists()


def test_a_segmentation_leaves_its_report_labels_picture_and_export(tmp_path, capsys):
    output = tmp_path / "out"
    start(f"--output={output}", "--dry_run")
    told = capsys.readouterr().out
    assert "images            8 of 16" in told and "2 of batch 4 (1 epochs)" in told
    assert "memory a replica" in told and not output.exists()
    start(f"--output={output}", "--export")
    # Nothing has to be told.
    assert "warning" not in capsys.readouterr().err
    report = json.loads((output / "segmentation.json").read_text())
    assert (report["share"], report["steps"]) == ("50pct", 2)
    # The small stem's network has a stride of 8, whatever larger one is allowed.
    assert report["output_stride"] == 8
    assert report["protocol"]["head"] == "fcn" and report["protocol"]["label_fraction"] == "0.5"
    assert report["test"] == "scenes:test, annotated, 4 images"
    row = report["random"]
    assert set(row["class_iou"]) > {"background", "disc"} and 0 <= row["miou"] <= 1
    assert len((output / "labels.txt").read_text().splitlines()) == 9
    assert (output / "random/predictions.png").stat().st_size > 1000
    assert (output / "random/segmenter/saved_model.pb").exists()
    # The same command gives the same report again; another one is refused.
    start(f"--output={output}")
    assert json.loads((output / "segmentation.json").read_text()) == report
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        start(f"--output={output}", "--seed=1")
    assert stopped.value.code == 2
    assert "was made with other flags (--seed=0 there, 1 here)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [("--batch_size=1",), ("--accumulate=4",), ("--logical_cpus=4", "--batch_norm=replica")],
)
def test_deeplab_on_parts_of_one_image_is_refused(flags, tmp_path, capsys):
    output = tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        start("--head=deeplab", *flags, f"--output={output}")
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --head=deeplab: batch statistics of one image at a time")
    assert told.count("\n") == 1 and not output.exists()


def test_a_set_without_label_maps_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(
            segment.main,
            SegmentSettings,
            [*VOC, f"--data_dir={tmp_path}"],
        )
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "has neither masks nor label maps" in told


def test_a_second_call_keeps_the_count_of_unreadable_images(tmp_path):
    labels = np.arange(32 * 32).reshape(32, 32) % 3
    images, maps = write_maps(tmp_path, {f"{n:02}": labels for n in range(8)}, size=(32, 32))
    Path(images, "03.png").write_bytes(b"no image")
    output = tmp_path / "out"
    flags = [
        *(flag for flag in FLAGS if not flag.startswith(("--dataset", "--scene", "--label_fr"))),
        *(f"--image_folder={images}", f"--label_maps={maps}", "--holdout=2", "--batch_size=6"),
        f"--output={output}",
    ]
    reports = []
    for _ in range(3):
        command.run(segment.main, SegmentSettings, flags)
        reports.append(json.loads((output / "segmentation.json").read_text()))
        if len(reports) == 2:  # as if it had been killed in its last evaluation
            for path in [*output.rglob("result.json"), output / "segmentation.json"]:
                path.unlink()
    assert reports[0] == reports[1] == reports[2] and reports[0]["unreadable_images"] == 1
    assert "unreadable_images" not in reports[0]["random"]


def test_a_corrected_test_set_or_other_test_flags_repeat_the_test_alone(
    tmp_path, monkeypatch, capsys
):
    labels = np.arange(32 * 32).reshape(32, 32) % 3
    images, maps = write_maps(tmp_path, {f"{n:02}": labels for n in range(4)}, size=(32, 32))
    tests = {f"t{n}": labels for n in range(2)}
    test_images, test_maps = write_maps(tmp_path / "test", tests, size=(32, 32))
    output = tmp_path / "out"
    flags = [
        *(flag for flag in FLAGS if not flag.startswith(("--dataset", "--scene", "--label_fr"))),
        *(f"--image_folder={images}", f"--label_maps={maps}", f"--output={output}"),
        *(f"--test_image_folder={test_images}", f"--test_label_maps={test_maps}"),
    ]

    def read():
        return json.loads((output / "segmentation.json").read_text())

    def go(*more):
        command.run(segment.main, SegmentSettings, [*flags, *more])
        return read()["random"]["class_iou"], read()["random"]["train_loss"]

    first, loss = go("--export")
    of_first = read()
    assert of_first["classes"] == 3
    assert (output / "random/segmenter").exists()

    def no_step(*arguments, **parts):
        raise AssertionError

    monkeypatch.setattr(resumption, "fit", no_step)
    # All of another class: the figures are another, of the same weights.
    Path(test_maps, "t0.png").write_bytes(label_png(np.full((32, 32), 2)))
    Path(test_maps, "t1.png").write_bytes(label_png(np.full((32, 32), 2)))
    capsys.readouterr()
    second, same = go()
    assert "the test is another, and is repeated" in capsys.readouterr().err
    assert same == loss and second != first and second["0"] in (None, 0.0)
    # The ids are the same, the labels are not.
    before, now = of_first["annotations"], read()["annotations"]
    assert read()["contents"] == of_first["contents"] and before["train"] == now["train"]
    assert before["test"] != now["test"]
    assert go() == (second, loss)
    assert "repeated" not in capsys.readouterr().err
    assert (output / "random/segmenter").exists()
    go("--test_flip")
    assert not (output / "random/segmenter").exists()
    assert "--test_flip=true" in (output / "flags.txt").read_text()
    # The images to learn from are bound to the weights.
    Path(maps, "00.png").write_bytes(label_png(np.full((32, 32), 2)))
    with pytest.raises(SystemExit):
        go("--test_flip")
    assert "the train images are not those of the first start" in capsys.readouterr().err


def test_images_and_label_maps_may_move(tmp_path, monkeypatch, capsys):
    labels = np.arange(32 * 32).reshape(32, 32) % 3
    write_maps(tmp_path / "there", {f"{n:02}": labels for n in range(8)}, size=(32, 32))
    (tmp_path / "there" / "names.txt").write_text("sky\nsea\nsand\n")
    output = tmp_path / "out"

    def go(place):
        data = tmp_path / place
        flags = [
            *(x for x in FLAGS if not x.startswith(("--dataset", "--scene", "--label_fr"))),
            *(f"--image_folder={data / 'images'}", f"--label_maps={data / 'annotations'}"),
            *(f"--label_names={data / 'names.txt'}", "--holdout=2", "--label_fraction=0.7"),
            *("--batch_size=4", f"--output={output}"),
        ]
        command.run(segment.main, SegmentSettings, flags)
        return json.loads((output / "segmentation.json").read_text())["random"]

    first = go("there")
    (tmp_path / "there").rename(tmp_path / "here")
    monkeypatch.setattr(resumption, "fit", None)  # takes no step
    capsys.readouterr()
    assert go("here") == first
    told = capsys.readouterr().err
    assert "its images are now" in told and "repeated" not in told
    assert (
        f"--label_maps={tmp_path / 'here' / 'annotations'}\n" in (output / "flags.txt").read_text()
    )
    assert go("here") == first and "now" not in capsys.readouterr().err
    # Other labels at another place are other data.
    (tmp_path / "here").rename(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere" / "annotations").iterdir():
        path.write_bytes(label_png(labels[::-1]))
    with pytest.raises(SystemExit):
        go("elsewhere")
    assert "the train images are not those of the first start" in capsys.readouterr().err
