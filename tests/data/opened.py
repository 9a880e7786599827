"""Sources by the flags that name them."""

from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_split
from ssl_tf.settings import DataSettings


def source_of(**flags) -> Source:
    """The source of data settings with these values, as a run opens it."""
    return open_split(DataSettings(**flags))
