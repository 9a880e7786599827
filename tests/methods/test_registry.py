from ssl_tf import settings
from ssl_tf.methods.pretext import TASKS
from ssl_tf.methods.registry import METHODS


def test_flags_offer_what_there_is():
    assert tuple(METHODS) == settings.METHODS
    assert tuple(TASKS) == settings.PRETEXT
