"""The memory that a dry run tells, against sums by hand."""

import numpy as np
import pytest

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.methods.registry import build_method
from ssl_tf.networks import resnet
from ssl_tf.networks.resnet import activation_floats
from ssl_tf.pretraining import dry_run
from ssl_tf.pretraining.compiling import compile_method
from ssl_tf.pretraining.dry_run import describe, estimated_bytes
from ssl_tf.pretraining.machine import Machine
from ssl_tf.pretraining.opened_images import open_images
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.data_record import keep_data
from ssl_tf.training.plan import make_plan
from tests.data.prepared_tfds import prepare_several
from tests.data.tiny_images import png, write_folder
from tests.two_blocks import TWO_BLOCKS

TINY = [
    "--dataset=scenes", "--scenes=640", "--scene_size=48", "--image_size=32", "--depth=18",
    "--width=0.25", "--stem=small", "--method=simclr", "--projector_hidden=64", "--projection=16",
    "--batch_size=64", "--epochs=1", "--warmup_epochs=0", "--optimizer=sgd",
]  # fmt: skip
IMAGES, SIDE = 640, 48


@pytest.fixture(scope="module")
def method():
    settings = flagfiles.parse(TINY, PretrainSettings)
    plan = make_plan(settings.optimization, IMAGES)
    built = build_method(settings, plan, False, 10)
    compile_method(built, settings.optimization, plan)
    return built


def memory(method, *flags, replicas=1, largest=SIDE):
    settings = flagfiles.parse([*TINY, *flags], PretrainSettings)
    return estimated_bytes(method, settings, replicas, IMAGES, largest)


def bytes_of(variables):
    return sum(v.numpy().nbytes for v in variables)


def test_without_parts_all_views_of_the_batch_are_kept(method):
    saved = bytes_of([v for n in method.networks.values() for v in n.variables])
    saved += bytes_of(method.optimizer.variables)
    gradients = bytes_of(method.learned_variables)
    views = 2 * 4 * activation_floats(method.encoder, 32)
    for replicas in (1, 8):
        assert memory(method, replicas=replicas) == (saved + gradients, views * 64 / replicas, 0)


@pytest.mark.parametrize("parts", [2, 16])
def test_in_parts_the_activations_are_of_one_and_the_gradients_are_there_twice(method, parts):
    whole, part = memory(method), memory(method, f"--accumulate={parts}")
    assert part.activations == whole.activations / parts
    assert part.state == whole.state + bytes_of(method.learned_variables)
    assert part.total == part.state + part.activations


def test_canvases_are_of_all_images_or_of_the_share_of_a_batch(method, monkeypatch):
    canvas = 48 * 48 * 3
    whole = memory(method)
    for resident, replicas, images in (("on", 4, 640), ("off", 4, 16), ("off", 1, 64)):
        flags = ["--augment_on=device", f"--resident={resident}"]
        told = memory(method, *flags, replicas=replicas)
        assert told.canvases == images * canvas
        assert told.state == whole.state and told.activations == whole.activations / replicas
    assert memory(method, "--augment_on=device", "--canvas=32", "--resident=on").canvases == (
        640 * 32 * 32 * 3
    )
    # Of images whose sizes are not known.
    unknown = memory(method, "--augment_on=device", "--resident=on", largest=None)
    assert unknown.canvases == 640 * 512 * 512 * 3
    # auto: what is a quarter of the memory at most.
    for gib, images in ((4.1 * 640 * canvas / 2**30, 640), (3.9 * 640 * canvas / 2**30, 64)):
        monkeypatch.setattr(dry_run, "read_machine", lambda gib=gib: Machine(2, gib))
        assert memory(method, "--augment_on=device").canvases == images * canvas


def test_the_plan_tells_them(method):
    flags = ["--accumulate=4", "--augment_on=device", "--resident=on", "--canvas=512"]
    settings = flagfiles.parse([*TINY, *flags], PretrainSettings)
    (line,) = [
        x for x in describe(settings).splitlines() if x.startswith("memory") and "on 1 " in x
    ]
    told = memory(method, *flags)
    figures = [f"{x / 2**30:.1f}" for x in (told.total, told.state, told.canvases)]
    assert line == (
        "memory a replica  {} GiB on 1 ({} variables and gradients, {} canvases, the rest "
        "activations; estimated)".format(*figures)
    )
    assert np.isclose(told.canvases / 2**30, 0.46875) and "0.5 canvases" in line


def test_the_plan_tells_where_the_weights_are_from(tmp_path, monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    for flags, told in (
        ([], "from scratch"),
        (["--init_from=gone"], "not opened (--init_from=gone"),
    ):
        text = describe(flagfiles.parse([*TINY, *flags], PretrainSettings))
        (line,) = (line for line in text.splitlines() if line.startswith("start "))
        assert line.split(maxsplit=1)[1].startswith(told)
    recorded = flagfiles.parse([*TINY, f"--run_dir={tmp_path}"], PretrainSettings)
    flagfiles.write_flagfile(recorded, tmp_path / "flags.txt")
    text = describe(recorded)
    assert f"{tmp_path}, goes on from step 0" in text and "\nstart " not in text


def test_other_images_than_the_runs_are_no_plan_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    folder = write_folder(tmp_path / "images", {f"{n}.png": png(n) for n in range(70)})
    flags = [
        *TINY[3:], f"--image_folder={folder}", "--holdout=4", f"--run_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    settings = flagfiles.parse(flags, PretrainSettings)
    (tmp_path / "run").mkdir()
    flagfiles.write_flagfile(settings, tmp_path / "run/flags.txt")
    keep_data(tmp_path / "run", open_images(settings).parts)
    record = (tmp_path / "run/data.json").read_text()
    assert "goes on from step 0" in describe(settings)
    # Other images to look at are told by the run, which goes on.
    record = record.replace('"count": 4', '"count": 5')
    (tmp_path / "run/data.json").write_text(record)
    assert "goes on from step 0" in describe(settings)
    write_folder(tmp_path / "images", {"more.png": png(70)})
    with pytest.raises(UserError, match="training images are not those of .* 66 there, 67 here"):
        describe(settings)
    assert (tmp_path / "run/data.json").read_text() == record


def test_the_plan_of_an_older_run_is_of_the_images_that_it_held_out(tmp_path, monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    flags = [*TINY, "--holdout=4", f"--run_dir={tmp_path}"]
    older = flagfiles.parse([*flags, "--holdout_rule=spaced"], PretrainSettings)
    flagfiles.write_flagfile(older, tmp_path / "flags.txt")
    keep_data(tmp_path, open_images(older).parts)
    assert "goes on from step 0" in describe(flagfiles.parse(flags, PretrainSettings))


def test_a_new_run_does_not_guess_what_it_learns_from(tmp_path, monkeypatch, capsys):
    prepare_several(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    small = ("--depth=18", "--width=0.0625", "--stem=small", "--batch_size=2", "--image_size=16")

    def plan(*flags):
        return describe(
            flagfiles.parse([*small, f"--data_dir={tmp_path}", *flags], PretrainSettings)
        )

    assert "6 (toys:train)" in plan("--dataset=toys")
    told = capsys.readouterr().err
    assert "warning: toys:train has the features kind, pose, and none is called label" in told
    of_labels = ("--method=supervised", "--recipe=moco", "--view_strategies=plain")
    for flags, flag in ((("--dataset=toys", *of_labels), "label"), (("--dataset=pairs",), "image")):
        with pytest.raises(SettingsError, match=f"called {flag}; name one by --{flag}_feature$"):
            plan(*flags)
    # An older run goes on.
    settings = flagfiles.parse([*small, "--dataset=toys", *of_labels], PretrainSettings)
    (tmp_path / "run").mkdir()
    flagfiles.write_flagfile(settings, tmp_path / "run/flags.txt")
    assert "6 (toys:train)" in plan("--dataset=toys", *of_labels, "--run_dir=run")
    assert "called label; the first is taken" in capsys.readouterr().err


def test_a_plan_of_images_that_are_not_here_holds_out_fewer_than_there_are():
    flags = ["--tfrecord=/gone", "--batch_size=8", "--num_images=64"]
    for count in (64, 100):
        with pytest.raises(SettingsError, match=f"--holdout={count}: --num_images has 64 images"):
            describe(flagfiles.parse([*flags, f"--holdout={count}"], PretrainSettings))


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--monitor_split=dev"], "train, test, not 'dev'"),
        (["--holdout=1"], "give --holdout=2 or more"),
        (["--num_images=641"], "has 640 images, not the --num_images=641"),
        (["--num_images=640", "--num_classes=3"], "has 10 classes, not the --num_classes=3"),
        (["--xla=on", "--logical_cpus=2"], "--xla=on: the collectives of several replicas"),
        (["--track=wandb"], "the package wandb is not installed"),
    ],
)
def test_flags_that_do_not_fit_the_images_are_no_plan(flags, told):
    with pytest.raises(SettingsError, match=told):
        describe(flagfiles.parse([*TINY, *flags], PretrainSettings))
