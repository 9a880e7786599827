import time

import numpy as np

from ssl_tf.sharding.progress import Progress, progress_line


def test_the_time_left_is_by_the_rate_of_this_run():
    # 100 were there before; 50 took 10 seconds, 850 are left
    line = progress_line("regions of images (regions/)", "images", 100, 150, 1000, 10.0)
    assert line == "regions of images (regions/): 150 of 1000 images, 5.0/s, 0:02:50 left"
    # Discovery may take longer than a day.
    assert progress_line("x", "pairs", 0, 1, 31, 3600.0).endswith(", 0.0/s, 1 day, 6:00:00 left")
    assert progress_line("x", "pairs", 0, 8, 8, 2.0) == "x: 8 of 8 pairs, 4.0/s"


def test_a_line_appears_when_a_shard_is_complete_and_only_then(tmp_path, capsys):
    paths = [tmp_path / str(n) for n in range(3)]
    paths[0].touch()
    with Progress("choice", paths, np.array([4, 4, 2]), "images", every=0.01):
        time.sleep(0.1)
        assert capsys.readouterr().err == ""
        paths[1].touch()
        deadline = time.monotonic() + 5
        told = ""
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
            told += capsys.readouterr().err
        time.sleep(0.05)
        paths[2].touch()
    assert told.startswith("choice: 8 of 10 images, ") and told.count("\n") == 1
    assert capsys.readouterr().err.startswith("choice: 10 of 10 images, ")
