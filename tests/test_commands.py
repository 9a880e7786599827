"""The stages as a user runs them: pretrain, resume, linear, export, and what goes wrong."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ssl_tf import command, export, finetune, knn, linear, openimages, pretrain
from ssl_tf.networks import resnet
from ssl_tf.settings import (
    ExportSettings,
    FineTuneSettings,
    KnnSettings,
    LinearSettings,
    OpenImagesSettings,
    PretrainSettings,
    flagfiles,
)
from ssl_tf.training.run_directory import MACHINE_FIGURES
from tests.data.tiny_images import png, write_folder
from tests.two_blocks import TWO_BLOCKS

TINY = (
    "--dataset=scenes --scenes=48 --scene_size=16 --image_size=16 "
    "--depth=18 --width=0.0625 --stem=imagenet --projector_hidden=16 "
    "--projection=8 --batch_size=16 --epochs=3 --warmup_epochs=1 "
    "--optimizer=sgd --monitor_bank=32 --monitor_queries=12 --log_every=2 "
    "--checkpoint_every=0.67 --keep_checkpoints=9 --logical_cpus=1 "
    "--view_strategies=byol_t,randaugment "
).split()
# Views that cost nothing, for runs in which they do not matter.
PLAIN = ["--view_strategies=plain,plain"]


@pytest.fixture(scope="module", autouse=True)
def two_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
        yield


def start(module, settings_class, *flags):
    command.run(module.main, settings_class, list(flags))


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "one"
    start(pretrain, PretrainSettings, *TINY, f"--run_dir={directory}")
    return directory


def test_the_run_directory_holds_the_run(run):
    assert {path.name for path in run.iterdir()} == {
        "flags.txt", "environment.json", "compute.json", "data.json", "metrics.jsonl",
        "tensorboard", "views.png", "neighbours.png", "checkpoints", "checkpoints.json",
    }  # fmt: skip
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == [f"step_{step:08d}" for step in (2, 4, 6, 8, 9)]
    from PIL import Image

    with Image.open(run / "views.png") as sheet:
        assert sheet.size[0] > 9 * 160 and sheet.size[1] > 3 * 160


def test_neighbours_are_shown_at_every_look(run):
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    shown = {event.step: event for event in events.Tensors("nearest neighbours")}
    assert list(shown) == [line["step"] for line in lines(run) if "rankme" in line] == [0, 3, 6, 9]
    encoded = tf.make_ndarray(shown[9].tensor_proto)[2]
    newest = tf.io.decode_png((run / "neighbours.png").read_bytes(), channels=3).numpy()
    np.testing.assert_array_equal(tf.io.decode_png(encoded), newest)
    # The encoder of step 0 is the random one; that of step 9 is not.
    first = tf.io.decode_png(tf.make_ndarray(shown[0].tensor_proto)[2]).numpy()
    assert first.shape == newest.shape and (first != newest).any()


def test_metrics_have_each_step_once_and_all_figures(run):
    logged = lines(run)
    # every second step, the first, the last, and those at which the monitor looks (each epoch of 3)
    assert [line["step"] for line in logged] == [0, 1, 2, 3, 4, 6, 8, 9]
    look = logged[-1]
    assert look["epoch"] == 3.0 and look["chance_loss"] == 0.0
    assert {"loss", "learning_rate", "tau", "knn_top1", "embedding_std", "rankme", "alignment",
            "uniformity", "collapsed", "images_per_second"} <= set(look)  # fmt: skip
    # warm-up of 3 steps to 0.3 * 16 / 256, then half a cosine; the rate of the step just taken
    peak = 0.3 * 16 / 256
    rates = {line["step"]: line["learning_rate"] for line in logged[1:]}
    assert rates[1] == 0.0
    assert rates[3] == pytest.approx(peak * 2 / 3)
    assert rates[4] == pytest.approx(peak)
    assert rates[9] == pytest.approx(peak * 0.5 * (1 + np.cos(np.pi * 5 / 6)), rel=1e-5)


def read_checkpoint(run, step):
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / f"step_{step:08d}" / "state"))
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: reader.get_tensor(name) for name in names}


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(run, tmp_path):
    resumed = tmp_path / "resumed"
    shutil.copytree(run, resumed)
    check_resumed(run, resumed, *TINY)


def test_resident_images_go_on_with_a_run_of_sent_ones_to_the_bit(tmp_path):
    sent, resumed = tmp_path / "sent", tmp_path / "resumed"
    flags = [*TINY, "--view_strategies=byol_t,plain", "--augment_on=device"]
    start(pretrain, PretrainSettings, *flags, "--resident=off", f"--run_dir={sent}")
    shutil.copytree(sent, resumed)
    check_resumed(sent, resumed, *flags, "--resident=on")


def check_resumed(run, resumed, *flags):
    """Takes the last steps of a copy of a run again, and compares the two."""
    for step in (6, 8, 9):
        shutil.rmtree(resumed / "checkpoints" / f"step_{step:08d}")
    start(pretrain, PretrainSettings, *flags, f"--run_dir={resumed}")
    untimed, again = (
        [{k: v for k, v in line.items() if k not in MACHINE_FIGURES} for line in lines(directory)]
        for directory in (run, resumed)
    )
    assert [line["step"] for line in again] == [line["step"] for line in untimed]
    for one, two in zip(untimed, again):
        assert two == one
    one, two = read_checkpoint(run, 9), read_checkpoint(resumed, 9)
    assert one.keys() == two.keys() and len(one) > 100
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_queues_and_heads_of_both_kinds_resume_to_the_bit(tmp_path):
    """DenseCL on object crops: two queues, two kinds of heads, a query that mixes both views."""
    flags = [
        *TINY, "--method=densecl", "--recipe=moco", *PLAIN, "--queue=32",
        "--crops=object_dilated", "--proposals=ground_truth", "--projection_heads=per_view",
        "--tau=0.9", "--epochs=2",
    ]  # fmt: skip
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    start(pretrain, PretrainSettings, *flags, f"--run_dir={whole}")
    shutil.copytree(whole, resumed)
    for step in (4, 6):
        shutil.rmtree(resumed / "checkpoints" / f"step_{step:08d}")
    start(pretrain, PretrainSettings, *flags, f"--run_dir={resumed}")
    one, two = read_checkpoint(whole, 6), read_checkpoint(resumed, 6)
    assert one.keys() == two.keys()
    for name in ("queue", "dense_queue", "scene_projector"):
        assert any(name in key for key in one), name
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_a_complete_run_is_left_alone(run, capsys):
    before = (run / "metrics.jsonl").read_bytes()
    start(pretrain, PretrainSettings, f"--flagfile={run / 'flags.txt'}")
    assert "is complete: 9 of 9 steps" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before


def test_linear_reports_the_trained_and_the_random_encoder(run, tmp_path, capsys):
    output = tmp_path / "linear.json"
    flags = ["--dataset=scenes", "--scenes=48", "--scene_size=16", "--epochs=2", "--batch_size=16"]
    start(linear, LinearSettings, *flags, f"--checkpoint={run}", f"--output={output}")
    report = json.loads(output.read_text())
    assert report["step"] == 9 and 0 <= report["trained"]["top1"] <= report["trained"]["top5"] <= 1
    for encoder in ("trained", "random"):
        intervals = report[encoder]["interval_95"]
        assert intervals.keys() == {"top1", "top5", "mean_per_class"}
        for name, (low, high) in intervals.items():
            assert low <= report[encoder][name] <= high
    assert report["trained"]["encoder_sha256"] != report["random"]["encoder_sha256"]
    told = {name: report["protocol"][name] for name in ("epochs", "augment", "scene_size")}
    assert told == {"epochs": "2.0", "augment": "false", "scene_size": "16"}
    assert "trained  encoder: top-1" in capsys.readouterr().out


def test_linear_sweeps_rates_on_validation_images(run, tmp_path, capsys):
    output = tmp_path / "linear.json"
    flags = ["--dataset=scenes", "--scenes=48", "--scene_size=16", "--epochs=2", "--batch_size=16"]
    sweep = ["--base_learning_rates=0.4,0.1", "--validation=12", "--norandom_baseline"]
    start(linear, LinearSettings, *flags, *sweep, f"--checkpoint={run}", f"--output={output}")
    report = json.loads(output.read_text())
    assert report["holdout_rule"] == "seeded"
    trained = report["trained"]
    assert set(trained["validation"]) == {"0.4", "0.1"}
    best = max(figures["top1"] for figures in trained["validation"].values())
    assert trained["validation"][str(trained["base_learning_rate"])]["top1"] == best
    end = {0.1: "smallest", 0.4: "largest"}[trained["base_learning_rate"]]
    assert f"<- chosen, the {end} that was tried\n" in capsys.readouterr().out


def test_knn_reports_in_the_run_directory(run, capsys):
    flags = ["--dataset=scenes", "--scenes=48", "--scene_size=16", "--knn_k=9"]
    start(knn, KnnSettings, *flags, f"--checkpoint={run}")
    report = json.loads((run / "knn.json").read_text())
    assert (report["knn_k"], report["knn_temperature"], report["step"]) == (9, 0.1, 9)
    assert report["protocol"]["knn_k"] == "9" and "checkpoint" not in report["protocol"]
    assert report["trained"]["encoder_sha256"] != report["random"]["encoder_sha256"]
    told = capsys.readouterr()
    low, high = report["trained"]["interval_95"]["top1"]
    top1 = f"top-1 {100 * report['trained']['top1']:.2f} ({100 * low:.1f} to {100 * high:.1f})"
    assert f"kNN (k 9, T 0.1) {top1}" in told.out
    assert "those of the 48 train images are not kept in memory" in told.err
    # The same code, features and held-out images as the last look of the monitor, which has 12 of
    # them and 32 of the bank.
    assert abs(report["trained"]["top1"] - lines(run)[-1]["knn_top1"]) <= 0.5


def test_a_fine_tuning_reports_what_it_did_and_leaves_the_run_alone(run, tmp_path, capsys):
    before = read_checkpoint(run, 9)
    flags = [
        "--dataset=scenes", "--scenes=48", "--scene_size=16", "--label_fraction=0.5", "--epochs=3",
        "--batch_size=12", "--norandom_baseline", f"--checkpoint={run}",
    ]  # fmt: skip
    whole = tmp_path / "whole.json"
    start(finetune, FineTuneSettings, *flags, f"--output={whole}")
    report = json.loads(whole.read_text())
    # 48 scenes of ten classes: half of each, rounded.
    assert report["share"] == "50pct" and report["step"] == 9 and "random" not in report
    assert report["protocol"]["epochs"] == "3.0" and "seed" not in report["protocol"]
    assert report["train"].startswith("scenes:train, 50 % of each class, seed 0, ")
    assert 0 <= report["trained"]["top1"] <= report["trained"]["top5"] <= 1
    listed = (tmp_path / "whole" / "labels.txt").read_text().splitlines()
    assert (
        f"{len(listed) - 1} images" in report["train"] and len(listed[1:]) == len(set(listed)) - 1
    )
    assert "trained  encoder, fine-tuned: top-1" in capsys.readouterr().out
    for name, value in read_checkpoint(run, 9).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    "module, settings_class",
    [(linear, LinearSettings), (knn, KnnSettings), (finetune, FineTuneSettings)],
)
@pytest.mark.parametrize(
    "change, flags, told",
    [
        ("--depth=18 --depth=34", [], "does not fit this model"),
        ("--width=0.0625 --width=0.125", [], "does not fit this model"),
        ("", ["--test_split=dev"], "train, test"),
    ],
)
def test_what_an_evaluation_cannot_use_is_one_clear_line(
    module, settings_class, change, flags, told, run, tmp_path, capsys
):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    if change:
        written = (other / "flags.txt").read_text()
        (other / "flags.txt").write_text(written.replace(*change.split()))
    output = tmp_path / "result.json"
    common = ["--dataset=scenes", "--scenes=9", f"--checkpoint={other}", f"--output={output}"]
    with pytest.raises(SystemExit):
        start(module, settings_class, *common, *flags)
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith("error: ") and told in error[0]
    assert not output.exists()


def test_images_with_several_labels_from_the_box_csv_to_the_mean_average_precision(
    run, tmp_path, capsys
):
    random = np.random.default_rng(0)
    for part, first in (("train", 0), ("test", 24)):
        lines = ["ImageID,LabelName,XMin,XMax,YMin,YMax"]
        for number in range(first, first + 24):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            tf.io.write_file(str(tmp_path / f"{number:016x}.jpg"), tf.io.encode_jpeg(pixels))
            lines += [
                f"{number:016x},/m/{kind},0,0.5,0.25,1" for kind in range(3) if kind != number % 4
            ]
        (tmp_path / f"{part}.csv").write_text("\n".join(lines))
    start(
        openimages, OpenImagesSettings, f"--boxes={tmp_path}/train.csv",
        f"--test_boxes={tmp_path}/test.csv", f"--images={tmp_path}", f"--test_images={tmp_path}",
        f"--output={tmp_path}", "--min_images=9",
    )  # fmt: skip
    output = tmp_path / "linear.json"
    start(
        linear, LinearSettings, "--dataset=ohms", f"--data_dir={tmp_path}", f"--checkpoint={run}",
        f"--output={output}", "--epochs=2", "--batch_size=16", "--norandom_baseline",
    )  # fmt: skip
    report = json.loads(output.read_text())
    assert report["train"] == "ohms:train, 24 images" and report["batch_size"] == 16
    # Each class is in 18 of the 24 images.
    assert 0.6 < report["trained"]["map"] <= 1 and 0.6 < report["trained"]["map_batchwise"] <= 1
    assert "top1" not in report["trained"]
    told = capsys.readouterr().out
    low, high = (f"{100 * bound:.1f}" for bound in report["trained"]["interval_95"]["map"])
    figure = f"mAP {100 * report['trained']['map']:.2f} ({low} to {high})"
    assert f"trained  encoder: {figure}  mAP within batches of" in told


@pytest.mark.parametrize("side", [16, 96])
def test_export_writes_a_saved_model(side, run, tmp_path):
    sized = tmp_path / "sized"
    shutil.copytree(run, sized)
    flags = (run / "flags.txt").read_text().replace("--image_size=16", f"--image_size={side}")
    (sized / "flags.txt").write_text(flags)
    output = ["--format=saved_model", f"--output={tmp_path / 'export'}"]
    start(export, ExportSettings, f"--checkpoint={sized}", *output)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    features = loaded.signatures["images"](images=tf.zeros([2, side, side, 3]))["features"]
    assert features.shape == (2, 32)
    photograph = tf.io.encode_png(tf.zeros([side + 5, side + 9, 3], tf.uint8))
    found = loaded.signatures["encoded"](encoded=photograph[tf.newaxis])
    assert found["features"].shape == (1, 32) and found["readable"].numpy().all()
    assert json.loads((tmp_path / "export" / "export.json").read_text())["image_size"] == side


def test_an_encoder_of_upright_images_is_exported_as_one(run, tmp_path, capsys):
    turned = tmp_path / "turned"
    shutil.copytree(run, turned)
    flags = (run / "flags.txt").read_text().replace("--dataset=scenes", "--dataset=")
    flags = flags.replace("--image_folder=\n", "--image_folder=photographs\n")
    (turned / "flags.txt").write_text(flags.replace("--orient=false", "--orient=true"))
    start(export, ExportSettings, f"--checkpoint={turned}", f"--output={tmp_path / 'export'}")
    facts = json.loads((tmp_path / "export" / "export.json").read_text())
    assert facts["orient"] is True and "turned upright as EXIF" in facts["signatures"]["encoded"]
    assert facts["preprocessing"].startswith("RGB, turned upright as EXIF says; short side to 16")
    assert "`encoded` of the SavedModel turns files as EXIF says" in capsys.readouterr().err


def test_export_calibrates_on_the_images_that_are_given(run, tmp_path, capsys):
    flags = ["--format=tflite", "--tflite_types=int8", "--calibration_images=5"]
    scenes = ["--dataset=scenes", "--scenes=24", "--scene_size=16"]
    output = tmp_path / "export"
    start(export, ExportSettings, f"--checkpoint={run}", f"--output={output}", *flags, *scenes)
    assert {path.name for path in output.iterdir()} == {"encoder_int8.tflite", "export.json"}
    told = json.loads((output / "export.json").read_text())["tflite"]["int8"]
    assert 0.9 < told["smallest_cosine"] < 1
    assert f"smallest {told['smallest_cosine']:.6f}" in capsys.readouterr().err


def test_an_exported_encoder_is_judged_like_the_run_that_it_comes_from(run, tmp_path, capsys):
    out = tmp_path / "export"
    start(export, ExportSettings, f"--checkpoint={run}", "--format=torchvision", f"--output={out}")
    assert "names and shapes are those of the written rule" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {
        "torchvision.safetensors", "torchvision_model.py", "export.json",
    }  # fmt: skip
    data = ["--dataset=scenes", "--scenes=48", "--scene_size=16", "--image_size=16", "--knn_k=5"]
    given = f"--init_encoder={out / 'torchvision.safetensors'}"
    reports = []
    for number, encoder in enumerate([f"--checkpoint={run}", given]):
        path = tmp_path / f"knn{number}.json"
        start(knn, KnnSettings, *data, encoder, f"--output={path}")
        reports.append(json.loads(path.read_text()))
    of_run, of_file = reports
    assert of_run.pop("checkpoint") == str(run) and of_run.pop("step") == 9
    assert f"--init_encoder={of_file.pop('init_encoder')}" == given and of_file.pop("step") == 0
    network = [of_file.pop(name) for name in ("depth", "width", "stem")]
    assert network == [18, 0.0625, "imagenet"]
    assert of_file == of_run and of_file["trained"] != of_file["random"]
    again = tmp_path / "again"
    start(export, ExportSettings, given, "--format=torchvision", f"--output={again}")
    name = "torchvision.safetensors"
    assert (again / name).read_bytes() == (out / name).read_bytes()


def test_a_step_that_was_not_kept_is_one_line(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        start(
            export, ExportSettings, f"--checkpoint={run}", "--step=5", f"--output={tmp_path / 'x'}"
        )
    assert stopped.value.code == 1
    assert "--step=5; there are 2, 4, 6, 8, 9" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path):
    """Twenty readable images, two that are not."""
    images = tmp_path / "images"
    images.mkdir()
    random = np.random.default_rng(0)
    for i in range(20):
        pixels = random.integers(0, 256, [20, 24, 3], np.uint8)
        tf.io.write_file(str(images / f"{i:02d}.jpg"), tf.io.encode_jpeg(pixels))
    (images / "empty.jpg").write_bytes(b"")
    (images / "text.png").write_text("no image")
    return images


def test_a_run_goes_on_where_its_images_have_moved(tmp_path, capsys):
    images = {f"{n}.png": png(n) for n in range(24)}
    there, here = tmp_path / "there", tmp_path / "here"
    flags = [*TINY[3:], *PLAIN, "--epochs=2", f"--run_dir={tmp_path / 'run'}"]
    start(pretrain, PretrainSettings, *flags, f"--image_folder={write_folder(there, images)}")
    there.rename(here)
    again = [f"--flagfile={tmp_path / 'run/flags.txt'}"]
    start(pretrain, PretrainSettings, *again, f"--image_folder={here}/")
    told = capsys.readouterr().err
    assert f"its images are now in {here}/, which has the same names and sizes" in told
    assert "run is complete: 3 of 3 steps" in told
    start(pretrain, PretrainSettings, *again)
    other = write_folder(tmp_path / "other", images | {"0.png": png(99, 9, 9)})
    with pytest.raises(SystemExit):
        start(pretrain, PretrainSettings, *again, f"--image_folder={other}")
    assert "the training images are not those of the first start" in capsys.readouterr().err
    start(pretrain, PretrainSettings, *again)
    assert "its images are now" not in capsys.readouterr().err


def test_unreadable_images_are_skipped_and_reported(folder, tmp_path, capsys):
    flags = [flag for flag in TINY if not flag.startswith(("--dataset", "--scene"))]
    common = [
        *flags,
        *PLAIN,
        f"--image_folder={folder}",
        "--batch_size=11",
        "--epochs=1",
        "--warmup_epochs=0",
    ]
    start(pretrain, PretrainSettings, *common, f"--run_dir={tmp_path / 'run'}")
    told = capsys.readouterr().err
    assert "empty.jpg" in told and "text.png" in told
    assert lines(tmp_path / "run")[-1]["step"] == 2
    with pytest.raises(SystemExit) as stopped:
        start(
            pretrain,
            PretrainSettings,
            *common,
            f"--run_dir={tmp_path / 'two'}",
            "--max_bad_images=1",
        )
    told = capsys.readouterr().err
    assert stopped.value.code == 1 and "--max_bad_images=1" in told and "Traceback" not in told


@pytest.mark.parametrize(
    "flags, code, told",
    [
        (["--dataset=cifar10", "--data_dir={tmp}"], 1, "--dataset=cifar10"),
        (["--dataset=cifar10", "--data_dir={tmp}/missing"], 1, "--data_dir"),
        (["--image_folder={tmp}/missing"], 1, "--image_folder"),
        (["--image_folder={tmp}/empty"], 1, "--image_folder"),
        (["--tfrecord={tmp}/*.tfrecord"], 1, "--tfrecord"),
        (["--tfrecord={tmp}/truncated"], 1, "truncated"),
        (["--dataset=scenes", "--batch_size=15", "--logical_cpus=2"], 2, "--batch_size=15"),
        (["--dataset=scenes", "--batch_size=160", "--scenes=10"], 2, "--batch_size=160"),
        (["--dataset=scenes", "--crop_ratio=0,1"], 2, "--crop_ratio"),
        (["--dataset=scenes", "--holdout=48"], 2, "--holdout"),
        (["--dataset=scenes", "--num_images=7"], 2, "--num_images=7"),
        (["--dataset=scenes", "--split=dev"], 2, "train, test"),
    ],
)
def test_bad_input_is_one_clear_line(flags, code, told, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(b"x" * 100)
    with tf.io.TFRecordWriter(str(tmp_path / "truncated")) as writer:
        writer.write(example.SerializeToString())
    whole = (tmp_path / "truncated").read_bytes()
    (tmp_path / "truncated").write_bytes(whole[:-20])
    scenes = "--dataset=scenes" in flags
    left_out = "--dataset" if scenes else ("--dataset", "--scene")
    tiny = [flag for flag in TINY if not flag.startswith(left_out)]
    given = [flag.format(tmp=tmp_path) for flag in flags]
    with pytest.raises(SystemExit) as stopped:
        start(pretrain, PretrainSettings, *tiny, *given, f"--run_dir={tmp_path / 'run'}")
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and told in error
    assert stopped.value.code == code
    assert not (tmp_path / "run").exists()


def test_a_run_with_other_flags_is_refused(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        start(pretrain, PretrainSettings, *TINY, f"--run_dir={run}", "--seed=1")
    assert stopped.value.code == 2
    assert "--seed=0 there, 1 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "module, settings_class",
    [
        (linear, LinearSettings),
        (knn, KnnSettings),
        (finetune, FineTuneSettings),
        (export, ExportSettings),
    ],
)
def test_a_checkpoint_that_is_none_is_one_line(module, settings_class, tmp_path, capsys):
    data = [] if module is export else ["--dataset=scenes"]
    with pytest.raises(SystemExit) as stopped:
        start(module, settings_class, *data, f"--checkpoint={tmp_path}")
    assert stopped.value.code == 1
    assert "no run directory" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(tmp_path, capsys):
    flags = ["--warmup_epochs=0", "--base_learning_rate=1e38", "--momentum=0"]
    with pytest.raises(SystemExit) as stopped:
        start(pretrain, PretrainSettings, *TINY, *PLAIN, *flags, f"--run_dir={tmp_path / 'run'}")
    assert stopped.value.code == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the loss is" in error and "at step" in error


def test_settings_of_the_tiny_run_are_written_completely(run):
    again = flagfiles.read_flagfile(run / "flags.txt", PretrainSettings)
    assert again.views.view_strategies == ("byol_t", "randaugment")
    assert again.run.run_dir == str(run)
