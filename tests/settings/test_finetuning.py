"""The name of the labelled share."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import FineTuneSettings, flagfiles


@pytest.mark.parametrize(
    "flags, share",
    [
        (["--dataset=imagenet2012_subset/1pct"], "1pct"),
        (["--dataset=imagenet2012"], ""),
        # Configurations of other data sets are other images, and no share of the labels.
        (["--dataset=voc/2007"], ""),
        (["--dataset=voc/2007", "--label_fraction=0.1"], "10pct"),
        (["--dataset=imagenet_resized/32x32", "--labels_from=lists/mine.txt"], "mine"),
    ],
)
def test_the_configuration_of_a_data_set_is_a_share_where_it_is_a_list_of_labels(flags, share):
    given = flagfiles.parse([*flags, "--checkpoint=runs/a"], FineTuneSettings)
    assert given.share == share


@pytest.mark.parametrize("flag", ["--label_fraction=0.1", "--labels_from=lists/mine.txt"])
def test_a_share_of_a_share_has_no_name_of_its_own(flag):
    given = ["--dataset=imagenet2012_subset/10pct", flag, "--checkpoint=runs/a"]
    with pytest.raises(SettingsError, match="is a share.*with --dataset=imagenet2012 alone"):
        flagfiles.parse(given, FineTuneSettings)
