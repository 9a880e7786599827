"""The progress of a run: redrawn on a terminal, plain lines in a file."""

import contextlib
import fcntl
import io
import os
import pty
import struct
import sys
import termios

import pytest

from ssl_tf.training.progress_line import ProgressLine

END = "<end>"


@contextlib.contextmanager
def terminal(columns):
    """Puts a terminal behind stderr; gives the function that reads what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with open(theirs, "w") as stream, contextlib.redirect_stderr(stream):

        def shown():
            # A terminal hands on what it got piece by piece.
            stream.write(END)
            stream.flush()
            told = b""
            while not told.endswith(END.encode()):
                told += os.read(ours, 65536)
            return told.decode().removesuffix(END)

        yield shown
    os.close(ours)


def train(line):
    with line.drawn():
        line.tell(2, "loss 4.5 (chance 4.9)", kept=True)
        line.advance(3)
        print("warning: something", file=sys.stderr)
        line.tell(4, "loss 4.2 (chance 4.9)")
        line.advance(4)


def test_a_terminal_shows_one_line_that_is_redrawn():
    with terminal(80) as shown:
        train(ProgressLine(0, 4))
        told = shown()
    # Lines of their own, above the bar.
    assert "\r[##########          ] 2/4 loss 4.5 (chance 4.9)\r\n" in told
    assert "\rwarning: something\r\n" in told
    last = told.rstrip("\r\n").split("\r")[-1]
    assert last.startswith("100%|") and last.endswith("4/4, loss 4.2 (chance 4.9)")
    assert told.count("\n") == 3


@pytest.mark.parametrize("place", ["a file", "a terminal without a width"])
def test_elsewhere_each_is_a_line(place):
    if place == "a file":
        with contextlib.redirect_stderr(io.StringIO()) as file:
            train(ProgressLine(0, 4))
            told = file.getvalue()
    else:
        with terminal(0) as shown:
            train(ProgressLine(0, 4))
            told = shown().replace("\r\n", "\n")
    assert told == (
        "[##########          ] 2/4 loss 4.5 (chance 4.9)\n"
        "warning: something\n"
        "[####################] 4/4 loss 4.2 (chance 4.9)\n"
    )


def test_a_failure_leaves_the_terminal_as_it_was():
    with terminal(80) as shown:
        stream = sys.stderr
        with pytest.raises(ValueError), ProgressLine(0, 4).drawn():
            raise ValueError
        assert sys.stderr is stream
        assert shown().endswith("\n")
