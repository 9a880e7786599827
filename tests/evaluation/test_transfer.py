"""A suite as a user runs it, on tiny data sets and an encoder that starts at random."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from ssl_tf import command, transfer
from ssl_tf.evaluation import transfer as stage
from ssl_tf.evaluation import transfer_table
from ssl_tf.evaluation.features import FeatureReader
from ssl_tf.evaluation.freezing import frozen
from ssl_tf.evaluation.logistic_regression import PENALTIES
from ssl_tf.evaluation.protocols import PROTOCOLS
from ssl_tf.locks import exclusive
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import PretrainSettings, TransferSettings, flagfiles
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.encoders import CHECKPOINTS, load_encoder
from ssl_tf.weights.torch_names import to_torch, torch_variables
from tests.data.opened import source_of
from tests.evaluation import prepared_suite as suite

MODEL = (
    "--dataset=none", "--depth=18", "--width=0.0625", "--stem=small", f"--image_size={suite.SIDE}"
)  # fmt: skip


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A run whose encoder at step 7 is that of another seed than its start."""
    run = tmp_path_factory.mktemp("runs") / "one"
    settings = flagfiles.parse(MODEL, PretrainSettings)
    run.mkdir()
    flagfiles.write_flagfile(settings, run / "flags.txt")
    Checkpoints(run / CHECKPOINTS, keep=1, encoder=build_encoder(settings.model, 5)).save(7)
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    suite.prepare(root, "cifar10", {"train": [10, 10, 10], "test": [4, 4, 4]})
    suite.prepare(root, "mnist", {"train": [10, 10, 10], "test": [4, 4, 4]})
    suite.prepare(root, "dtd", {s: [5, 5, 5] for s in ("train", "validation", "test")})
    return root


@pytest.fixture
def run(pretrained, tmp_path, monkeypatch):
    for name in ("cifar10", "mnist"):
        suite.shrink(monkeypatch, name, (21, 9, 12), held_out=9)
    suite.shrink(monkeypatch, "dtd", (15, 15, 15))
    # Of the 45 values a few, for time; test_logistic_regression.py has them all.
    monkeypatch.setattr(stage, "PENALTIES", (1e-2, 1.0, 1e4))
    return shutil.copytree(pretrained, tmp_path / "one")


@pytest.fixture
def reads(monkeypatch):
    """The data set of each source whose features are read."""
    read, original = [], stage.FeatureReader

    def spy(encode, source, *arguments, **keywords):
        read.append(source.name.partition(":")[0])
        return original(encode, source, *arguments, **keywords)

    monkeypatch.setattr(stage, "FeatureReader", spy)
    return read


def start(run, data, *flags):
    command.run(
        transfer.main, TransferSettings, [f"--checkpoint={run}", f"--data_dir={data}", *flags]
    )


def report(run, name, protocol="linear"):
    return json.loads((run / "transfer" / f"{name}_{protocol}.json").read_text())


def test_a_suite_skips_what_is_not_prepared_and_goes_on_where_it_was(
    run, data, tmp_path, capsys, reads
):
    part = shutil.copytree(data, tmp_path / "data")
    (part / "mnist").rename(part / "elsewhere")
    start(run, part, "--suite=small", "--norandom_baseline")
    told = capsys.readouterr()
    skipped = [line for line in told.err.splitlines() if "skipped" in line]
    assert [line.partition(":")[0] for line in skipped] == ["CIFAR-100", "MNIST", "Fashion-MNIST"]
    assert f"tfds.builder('mnist', data_dir='{part}').download_and_prepare()" in skipped[1]
    first = report(run, "cifar10")
    assert (first["step"], first["image_size"], first["metric"]) == (7, 16, "top1")
    assert first["sizes"] == first["published_sizes"] == [21, 9, 12]
    # Brightness tells the classes: any encoder that is not blind separates them.
    assert first["trained"]["top1"] > 0.9 and "random" not in first
    assert f"CIFAR-10: trained  encoder: top-1 {100 * first['trained']['top1']:.2f}" in told.out

    # Prepared since: only that is done, and the random encoder, which was not asked for.
    (part / "elsewhere").rename(part / "mnist")
    del reads[:]
    start(run, part, "--suite=small")
    assert reads == ["cifar10"] * 3 + ["mnist"] * 6
    second = report(run, "cifar10")
    assert second["trained"] == first["trained"]
    assert second["random"]["encoder_sha256"] != first["trained"]["encoder_sha256"]
    before = (run / "transfer" / "cifar10_linear.json").read_bytes()
    capsys.readouterr()
    start(run, part, "--suite=small", "--only=mnist,cifar10")
    assert len(reads) == 9
    told = capsys.readouterr()
    assert "CIFAR-10: there already" in told.out and "MNIST: there already" in told.out
    assert (run / "transfer" / "cifar10_linear.json").read_bytes() == before

    # Other settings make it anew.
    start(run, part, "--suite=small", "--only=mnist", "--norandom_baseline", "--max_iterations=3")
    told = capsys.readouterr()
    assert "of other settings or another step; it is recomputed" in told.out
    assert "MNIST, trained encoder: L-BFGS was stopped at --max_iterations=3" in told.err
    assert reads[9:] == ["mnist"] * 3 and "random" not in report(run, "mnist")

    table = (run / "transfer" / "table.md").read_text()
    assert table in told.out
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("|")]
    assert rows[0][:5] == ["| method", "CIFAR-10", "CIFAR-100", "MNIST", "Fashion-MNIST"]
    (byol,) = [row for row in rows if row[0] == "| BYOL"]
    assert byol[1:5] == ["91.3", "78.4", "-", "-"]
    # A row for each of the settings.
    ours = {row[5].strip(" |"): row[1:5] for row in rows if row[0] == "| one"}
    figures = [100 * report(run, name)["trained"]["top1"] for name in ("cifar10", "mnist")]
    assert ours == {
        "this run, step 7, 16 pixels, --max_iterations=1000": [f"{figures[0]:.1f}", "-", "-", "-"],
        "this run, step 7, 16 pixels, --max_iterations=3": ["-", "-", f"{figures[1]:.1f}", "-"],
    }
    assert "L-BFGS was stopped before it converged: MNIST." in table


def test_figures_of_other_images_are_computed_again(run, data, tmp_path, capsys, reads):
    """A data set that was incomplete, then complete, then gone; and reports without digests."""
    part = tmp_path / "part"
    suite.prepare(part, "dtd", {s: [3, 3, 4] for s in ("train", "validation", "test")})
    only, alone = "--only=dtd", "--norandom_baseline"
    path = run / "transfer" / "dtd_linear.json"
    start(run, part, only, alone)
    incomplete = report(run, "dtd")
    assert incomplete["sizes"] == [10, 10, 10]
    assert "Not of the published images: DTD." in capsys.readouterr().out
    # The random encoder is new, and the figure of the trained one is of other images.
    start(run, data, only)
    told = capsys.readouterr().out
    complete = report(run, "dtd")
    assert f"DTD: {path} is of other images; it is recomputed" in told
    assert complete["sizes"] == [15, 15, 15] and "Not of the published" not in told
    assert complete["trained"]["validation"] != incomplete["trained"]["validation"]
    assert reads == ["dtd"] * 9
    # One of an earlier version has sizes alone, by which it is known.
    path.write_text(json.dumps({k: v for k, v in complete.items() if k != "data"}))
    start(run, data, only)
    assert len(reads) == 9 and report(run, "dtd") == complete
    assert not stage._is_of({"sizes": incomplete["sizes"]}, complete["data"])
    before = path.read_bytes()
    capsys.readouterr()
    start(run, tmp_path, only, alone)
    assert "DTD: there already" in capsys.readouterr().out and path.read_bytes() == before


def test_an_encoder_in_a_file_is_transferred_as_that_of_a_run(run, data, tmp_path, capsys):
    encoder, _, _ = load_encoder(run)
    state = {name: to_torch(v.numpy()) for name, v in torch_variables(encoder).items()}
    save_file(state, tmp_path / "file.safetensors")
    flags = f"--data_dir={data}", "--suite=small", "--only=mnist", "--norandom_baseline"
    start(run, data, *flags)
    given = f"--init_encoder={tmp_path / 'file.safetensors'}", "--image_size=16"
    with pytest.raises(SystemExit):
        command.run(transfer.main, TransferSettings, [*given, *flags])
    assert "--output: give the directory of the reports" in capsys.readouterr().err
    command.run(transfer.main, TransferSettings, [*given, *flags, f"--output={tmp_path / 'out'}"])
    found = json.loads((tmp_path / "out" / "mnist_linear.json").read_text())
    assert found["trained"] == report(run, "mnist")["trained"]
    assert "| file.safetensors |" in (tmp_path / "out" / "table.md").read_text()
    # What `compare` makes a row of.
    assert found["init_encoder"] == str(tmp_path / "file.safetensors")
    assert (found["depth"], found["width"], found["stem"]) == (18, 0.0625, "small")


def test_test_images_that_the_run_has_learned_from_are_told(run, data, capsys):
    flags = (run / "flags.txt").read_text()
    learned = f"--dataset=mnist\n--data_dir={data}\n--split=train+test\n"
    (run / "flags.txt").write_text(flags + learned)
    start(run, data, "--suite=small", "--norandom_baseline")
    assert report(run, "mnist")["test_images_learned_from"] == 12
    assert "test_images_learned_from" not in report(run, "cifar10")
    told = capsys.readouterr().err
    assert told.count(f"{run} has learned from 12 of the 12 images of mnist:test") == 1


def test_three_devices_take_no_part_in_linear_classifiers(run, data, monkeypatch):
    """Nothing of them depends on a batch, which three devices could not share."""
    monkeypatch.setattr("ssl_tf.training.strategy.make_strategy", None)
    start(run, data, "--suite=small", "--only=mnist", "--norandom_baseline")
    assert report(run, "mnist")["trained"]["top1"] > 0.9


def test_the_classifier_is_there_before_a_test_image_is_read(run, data, monkeypatch):
    """Fits and choice get the features of train and validation images and nothing else."""
    encoder = build_encoder(flagfiles.parse(MODEL, PretrainSettings).model, 5)
    events, seen = [], []
    choose, reader = stage.choose_classifier, stage.FeatureReader

    def choosing(train, validation, *arguments, **keywords):
        seen.extend([train, validation])
        choice = choose(train, validation, *arguments, **keywords)
        events.append("chosen")
        return choice

    def reading(encode, source, *arguments, **keywords):
        events.append(source.name)
        return reader(encode, source, *arguments, **keywords)

    monkeypatch.setattr(stage, "choose_classifier", choosing)
    monkeypatch.setattr(stage, "FeatureReader", reading)
    start(run, data, "--only=dtd", "--norandom_baseline")
    assert events == ["dtd:train", "dtd:validation", "chosen", "dtd:test"]
    with frozen(encoder) as encode:
        for (features, labels), split in zip(seen, ("train", "validation"), strict=True):
            source = source_of(dataset="dtd", data_dir=str(data), split=split)
            expected, expected_labels = FeatureReader(encode, source, suite.SIDE).read()
            np.testing.assert_allclose(features, expected, atol=1e-5)
            np.testing.assert_array_equal(labels, expected_labels)


def test_fine_tuning_on_a_data_set_of_the_suite(run, data, capsys):
    flags = (
        "--only=dtd", "--protocol=finetune", "--norandom_baseline", "--steps=2", "--batch_size=8",
        "--base_learning_rate=0.1", "--weight_decay=0.001", "--decay_over_rate",
        "--frozen_blocks=4",
    )  # fmt: skip
    start(run, data, *flags)
    found = report(run, "dtd", "finetune")["trained"]
    assert [trial["base_learning_rate"] for trial in found["trials"]] == [0.1]
    directory = run / "transfer" / "dtd_finetune" / "trained"
    steps = [
        json.loads(path.read_text().splitlines()[-1])["step"]
        for path in directory.glob("*/metrics.jsonl")
    ]
    # A trial on 15 images and the refit on 30, of as many steps.
    assert steps == [2, 2]
    table = (run / "transfer" / "table.md").read_text()
    assert "### Fine-tuned" in table and "### Logistic" not in table
    assert f"| {100 * found['top1']:.1f} |" in table
    capsys.readouterr()
    start(run, data, *flags)
    assert "DTD: there already" in capsys.readouterr().out
    # Of other flags the trainings would be lost, so a user removes them.
    before = report(run, "dtd", "finetune")
    with pytest.raises(SystemExit):
        start(run, data, *flags, "--steps=3")
    told = capsys.readouterr()
    assert "and so are the trainings in" in told.err and "recomputed" not in told.out
    assert report(run, "dtd", "finetune") == before and directory.exists()


def other_run(run, seed):
    """A run of the same step and network with another encoder, and a start of a seed."""
    other = shutil.copytree(run, run.with_name("other"))
    shutil.rmtree(other / CHECKPOINTS)
    model = flagfiles.parse(MODEL, PretrainSettings).model
    Checkpoints(other / CHECKPOINTS, keep=1, encoder=build_encoder(model, 8)).save(7)
    flags = other / "flags.txt"
    flags.write_text(flags.read_text().replace("--seed=0", f"--seed={seed}"))
    return other


@pytest.mark.parametrize("seed", [0, 6])
def test_nothing_of_another_encoder_stays_in_a_report(run, data, tmp_path, capsys, reads, seed):
    """Both are of step 7, as two runs of one length; they have one start if their seed is one."""
    other = other_run(run, seed)
    kept = f"--output={tmp_path}/transfers"
    start(run, data, "--suite=small", "--only=mnist", kept)
    path = tmp_path / "transfers/mnist_linear.json"
    first = json.loads(path.read_text())
    path.write_text(json.dumps({**first, "unreadable_images": 3}))
    capsys.readouterr()
    del reads[:]
    baseline = [] if seed == 0 else ["--norandom_baseline"]
    start(other, data, "--suite=small", "--only=mnist", kept, *baseline)
    assert f"{path} is of another encoder; it is recomputed" in capsys.readouterr().out
    second = json.loads(path.read_text())
    assert second["trained"]["encoder_sha256"] != first["trained"]["encoder_sha256"]
    assert second.get("random") == (first["random"] if seed == 0 else None)
    assert reads == 3 * ["mnist"] and "unreadable_images" not in second


def test_the_reports_of_a_run_are_its_own(run, data, capsys):
    other = other_run(run, 6)
    for output in (run, run / "transfer"):
        with pytest.raises(SystemExit):
            start(other, data, "--suite=small", "--only=mnist", f"--output={output}")
        assert "lies in the directory of a run" in capsys.readouterr().err
    assert not (run / "transfer").exists()


def test_nothing_prepared_is_one_line_and_a_failure(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        start(run, tmp_path, "--suite=small")
    assert stopped.value.code == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 5 and all("skipped" in line for line in lines[:4])
    assert lines[4].startswith("error: no data set of --suite=small is prepared")
    assert not (run / "transfer").exists()


def test_a_data_set_that_fails_does_not_keep_the_others_from_their_turn(
    run, data, tmp_path, capsys, monkeypatch
):
    part = shutil.copytree(data, tmp_path / "data")
    (shard,) = (part / "cifar10").glob("1.0.0/cifar10-train*")
    shard.write_bytes(shard.read_bytes()[:-7])
    monkeypatch.setitem(
        PROTOCOLS, "mnist", stage.dataclasses.replace(PROTOCOLS["mnist"], sizes=(55_000, 9, 12))
    )
    with pytest.raises(SystemExit) as stopped:
        start(run, part, "--suite=small", "--norandom_baseline")
    assert stopped.value.code == 1
    told = capsys.readouterr()
    assert f"CIFAR-10: failed: {shard} is damaged" in told.err
    assert "error: cifar10 failed, as reported above" in told.err
    assert "MNIST has 21 + 9 + 12 images to train, choose and test on" in told.err
    assert report(run, "mnist")["trained"]["top1"] > 0.9
    table = (run / "transfer" / "table.md").read_text()
    assert "Not of the published images: MNIST." in table


def test_a_damaged_report_is_told(run, data, capsys):
    (run / "transfer").mkdir()
    (run / "transfer" / "dtd_linear.json").write_text('{"step": 7')
    with pytest.raises(SystemExit):
        start(run, data, "--only=dtd")
    assert "dtd_linear.json is damaged, it is no JSON; remove it" in capsys.readouterr().err


def test_a_data_set_of_another_suite_is_a_wrong_flag(run, data, capsys):
    with pytest.raises(SystemExit) as stopped:
        start(run, data, "--suite=small", "--only=dtd,mnist")
    assert stopped.value.code == 2
    assert "--only=dtd: not in --suite=small, which has cifar10" in capsys.readouterr().err


def test_published_rows_stand_in_their_own_columns():
    """The corners of the two papers' tables."""
    rows = {
        (protocol, row.name): row.figures
        for protocol, rows in transfer_table.PUBLISHED.items()
        for row in rows
    }
    assert rows["linear", "MA-SSRL"]["cars196"] == 57.7
    assert rows["linear", "MA-SSRL"]["oxford_iiit_pet"] == 84.3
    assert rows["linear", "BYOL"]["cars196"] == 67.8 and rows["linear", "BYOL"]["cifar10"] == 91.3
    assert rows["finetune", "BYOL, rerun"]["dtd"] == 71.3
    assert rows["finetune", "random"]["sun397"] == 53.6
    assert len(PENALTIES) == 45


def test_a_second_start_on_a_run_is_refused(run, data, capsys):
    with exclusive(run / "transfer"), pytest.raises(SystemExit) as ended:
        start(run, data)
    assert ended.value.code == 1 and "transfer is in use by process" in capsys.readouterr().err
