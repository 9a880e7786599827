"""What linear probe and fine-tuning share."""

import pytest

from ssl_tf.evaluation.classification import mark_of_choice, rate_schedule


@pytest.mark.parametrize("epochs, told", [((3, 8), ""), ((3, 10, 60), "--drop_epochs=10,60: ")])
def test_a_drop_after_the_end_is_told(epochs, told, capsys):
    schedule = rate_schedule(
        0.2, schedule="step", drop_epochs=epochs, batch_size=128, examples=640, steps=50
    )
    assert [float(schedule(step)) for step in (14, 15)] == pytest.approx([0.1, 0.01])
    assert capsys.readouterr().err.partition("warning: ")[2].startswith(told)


def test_a_chosen_rate_at_an_end_of_the_tried_ones_is_told():
    assert mark_of_choice(0.3, [0.1, 0.3, 1]) == " <- chosen"
    assert mark_of_choice(0.1, [0.3, 0.1]) == " <- chosen, the smallest that was tried"
    assert mark_of_choice(1, [0.3, 1, 1]) == " <- chosen, the largest that was tried"
    assert mark_of_choice(1, [1, 1]) == " <- chosen"
