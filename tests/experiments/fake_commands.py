"""Stands in for the package's commands: what `runner.LAUNCH` starts in tests of the runner.

It notes in the file $STARTED that it was started, takes as long as $SECONDS says, and writes the
product of the stage. The stage that $FAILS names fails until there is a file "mended" beside, until
when a transfer leaves out the data set $UNPREPARED. With $BEGINS a pre-training has a run from its
start on.
"""

import os
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    module, *arguments = sys.argv[1:]
    flags = dict(
        argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument
    )
    place = Path(flags.get("run_dir") or flags.get("output") or flags["checkpoint"])

    def stop(number, frame):
        print("saved")
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    if module == "ssl_tf.pretrain" and "BEGINS" in os.environ:
        place.mkdir(parents=True, exist_ok=True)
        (place / "flags.txt").touch()
    with Path(os.environ["STARTED"]).open("a") as file:
        file.write(f"{place.name} {module.removeprefix('ssl_tf.')}\n")
    with Path(os.environ["STARTED"]).with_name("arguments").open("a") as file:
        file.write(" ".join(arguments) + "\n")
    time.sleep(float(os.environ.get("SECONDS", 0)))
    fails = os.environ.get("FAILS", "")
    mended = Path(os.environ["STARTED"]).with_name("mended").exists()
    if fails and fails in str(place) and not mended:
        sys.exit("error: --epochs=0: must be greater than 0")
    for dataset in flags["only"].split(",") if "only" in flags else ():
        if dataset != os.environ.get("UNPREPARED") or mended:
            (place / "transfer").mkdir(exist_ok=True)
            (place / f"transfer/{dataset}_linear.json").write_text("{}")
    if place.suffix == ".json":
        place.write_text("{}")
    else:
        place.mkdir(parents=True, exist_ok=True)
