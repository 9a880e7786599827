"""The rows of a table of transfer, from reports written by hand."""

import json

from ssl_tf.evaluation.transfer import report_path
from ssl_tf.evaluation.transfer_table import tables

A, B = "a" * 64, "b" * 64


def write(directory, name, trained, random=None, iterations=1000, step=0):
    """A report of one figure for each encoder, (digest, top-1 in percent)."""
    report = {
        "dataset": name, "protocol": "linear", "metric": "top1", "step": step, "image_size": 32,
        "settings": {"max_iterations": iterations},
        "sizes": [1, 1, 1], "published_sizes": [1, 1, 1],
    }  # fmt: skip
    for encoder, told in (("trained", trained), ("random", random)):
        if told:
            report[encoder] = {"encoder_sha256": told[0], "top1": told[1] / 100}
    path = report_path(directory, name, "linear")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report))


def rows(directory, is_start=True):
    """The rows of the run, sorted, as name, two figures and source."""
    table = tables(directory, ("cifar10", "cifar100"), "RUN", is_start)
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return sorted(line for line in lines if "this run" in line[-1])


def test_one_encoder_is_one_row(tmp_path):
    write(tmp_path, "cifar10", (A, 90), (B, 30), step=7)
    write(tmp_path, "cifar100", (A, 50), step=7)
    assert rows(tmp_path) == [
        ["RUN", "90.0", "50.0", "this run, step 7, 32 pixels"],
        ["random (RUN's start)", "30.0", "-", "this run, 32 pixels"],
    ]
    assert [row[0] for row in rows(tmp_path, is_start=False)] == ["RUN", "random"]


def test_figures_of_several_encoders_stand_in_rows_of_their_own(tmp_path):
    write(tmp_path, "cifar10", (A, 90), (A, 30))
    write(tmp_path, "cifar100", (B, 50), (B, 20))
    of_a, of_b = (f"this run, step 0, 32 pixels, encoder {sha[:12]}" for sha in (A, B))
    assert rows(tmp_path) == [
        ["RUN", "-", "50.0", of_b],
        ["RUN", "90.0", "-", of_a],
        ["random (RUN's start)", "-", "20.0", of_b.replace("step 0, ", "")],
        ["random (RUN's start)", "30.0", "-", of_a.replace("step 0, ", "")],
    ]


def test_figures_of_several_settings_stand_in_rows_of_their_own(tmp_path):
    write(tmp_path, "cifar10", (A, 90))
    write(tmp_path, "cifar100", (A, 50), iterations=1)
    assert rows(tmp_path) == [
        ["RUN", "-", "50.0", "this run, step 0, 32 pixels, --max_iterations=1"],
        ["RUN", "90.0", "-", "this run, step 0, 32 pixels, --max_iterations=1000"],
    ]


def test_test_images_that_the_run_has_seen_and_those_left_out_are_told(tmp_path):
    write(tmp_path, "cifar10", (A, 90))
    path = report_path(tmp_path, "cifar10", "linear")
    told = {"test_images_learned_from": 17, "unreadable_images": 4}
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    lines = tables(tmp_path, ("cifar10", "cifar100"), "RUN", True).splitlines()
    assert "CIFAR-10: the run has learned from 17 of the test images." in lines
    assert "CIFAR-10: 4 images could not be read." in lines
