"""Pre-training, and what takes the flagfile of one."""

import dataclasses
import itertools
from pathlib import Path

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import GROUND_TRUTH, DataSettings
from ssl_tf.settings.fields import as_text, setting, unless
from ssl_tf.settings.flagfile_lines import FLAGS
from ssl_tf.settings.methods import METHODS, ObjectPairFlags
from ssl_tf.settings.model import ModelSettings
from ssl_tf.settings.optimization import OptimizationSettings
from ssl_tf.settings.recipes import STRATEGIES
from ssl_tf.settings.run import MonitorSettings, RunSettings
from ssl_tf.settings.views import ViewSettings

_OF_PROPOSALS = ("proposals", "unmatched_proposals")
AUTO_REFUSED = "only pretrain chooses flags; give the flags.txt of its run as --flagfile"


@dataclasses.dataclass(frozen=True)
class PretrainSettings:
    """`python -m ssl_tf.pretrain`."""

    data: DataSettings
    views: ViewSettings
    model: ModelSettings
    optimization: OptimizationSettings
    monitor: MonitorSettings
    run: RunSettings

    @property
    def in_parts(self) -> bool:
        """Whether parts of a batch are normalized by themselves, others with more replicas."""
        return self.optimization.accumulate > 1 or self.model.batch_norm == "shuffled"

    @property
    def recorded(self) -> Path:
        """The flagfile of the run that these settings continue, if they continue one."""
        return Path(self.run.run_dir) / FLAGS

    @property
    def with_original(self) -> bool:
        """Whether a task looks at the whole image, too, so that it is one more view."""
        return "localization" in self.model.flags[ObjectPairFlags].pretext

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        split = "--holdout is given" if self.data.holdout else f"{self.data.named[0]} has no splits"
        sums = len(self.views.pairs) > 1 or "pair_loss" not in self.model.row.flag_names
        return {
            **unless(self.views.object_crops, "--crops=scene_scene takes no boxes", *_OF_PROPOSALS),
            **unless(self.data.has_splits and not self.data.holdout, split, "monitor_split"),
            **unless(sums, "one pair of views is compared", "pair_loss"),
            **unless(
                self.model.row.views != "one",
                f"--method={self.model.method} compares no views",
                "compared_pairs",
            ),
        }

    def check_new(self) -> None:
        """Refuses what leaves a part of the run without effect.

        For a run that begins: one of an earlier version may be so, and goes on.

        Raises:
            SettingsError: the warm-up or a period of the method does not end, the crops have no
                area, a pair is given twice, a view or the recipe's crops are left out, the level of
                RandAugment is above the scale, no loss sees the views of one kind, or labels of
                localization are not those of its picture.
        """
        epochs, views = self.optimization.epochs, self.views
        pairs = [tuple(sorted(pair)) for pair in views.pairs]
        twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
        if twice:
            raise SettingsError(
                f"--compared_pairs={views.compared_pairs}: gives {twice[0]}:{twice[1]} twice, and "
                "each pair is taken in both directions; give it once"
            )
        scaled = "level_scale" not in views.unused
        if scaled and views.randaugment_magnitude > views.level_scale:
            raise SettingsError(
                f"--randaugment_magnitude={views.randaugment_magnitude:g}: above "
                f"--level_scale={views.level_scale:g}, the level of the largest changes; raise "
                "that, too, where the magnitude is of a scale to 30"
            )
        warmup = {"warmup_epochs": self.optimization.warmup_epochs}
        for name, period in (warmup | self.model.periods).items():
            if period >= epochs:
                raise SettingsError(
                    f"--{name}={period}: does not end within the run, --epochs={epochs}; lower it"
                )
        if self.model.row.views == "two" and len(views.strategies) != 2:
            raise SettingsError(
                f"--view_strategies={as_text(views.strategies)}: --method={self.model.method} "
                "compares two views; give two"
            )
        if views.loses_shared_crops:
            raise SettingsError(
                f"--view_strategies: --recipe={views.recipe} has {views.recipe_crops} crops an "
                f"image for its own; say --distinct_crops={views.recipe_crops} for these, too, or "
                f"--distinct_crops={len(views.strategies)}, a crop for each"
            )
        # The operation behind `inception` never goes below a tenth of the image.
        if views.crop_law == "inception" and views.area[1] <= 0.1:
            raise SettingsError(
                f"--crop_area={as_text(views.area)}: an inception crop covers more than "
                "a tenth of the image; give a larger area, or --crop=random_resized"
            )
        if views.crops == "object_dilated":
            self._check_surroundings()
        second = views.strategies[1 % len(views.strategies)]  # the original's, too
        if self.with_original and STRATEGIES[second]:
            raise SettingsError(
                f"--pretext=localization: the original has the operations of the second view, and "
                f"the policies of {second} shift, shear and turn it, where its labels are of cells "
                "that stay; give --recipe=moco, or a colour chain as second of --view_strategies"
            )
        unpaired = {*range(len(views.strategies))} - {*itertools.chain(*pairs)}
        if pairs and unpaired:
            raise SettingsError(
                f"--compared_pairs={views.compared_pairs}: leaves out view {min(unpaired)}, which "
                "would be made for nothing; compare it, or take it out of --view_strategies"
            )

    def __post_init__(self) -> None:
        model, row = self.model, self.model.row
        if not self.views.pairs and row.views != "one":
            raise SettingsError("--view_strategies: views are compared in pairs, give two or more")
        if self.views.object_crops and not self.data.proposals:
            raise SettingsError(
                f"--crops={self.views.crops}: give the boxes with --proposals=STORE, or "
                f"--proposals={GROUND_TRUTH} where the data has its own"
            )
        if row.views == "two" and self.views.pairs != ((0, 1),):
            raise SettingsError(
                f"--method={model.method}: compares view 0 with view 1; give two --view_strategies "
                "and no --compared_pairs"
            )
        if self.views.small_views and not row.small_views:
            takers = " or ".join(name for name, other in METHODS.items() if other.small_views)
            raise SettingsError(
                f"--small_views={self.views.small_views}: --method={model.method} compares views "
                f"of one size; give --method={takers}, or --small_views=0"
            )
        pair = model.flags[ObjectPairFlags]
        asked = pair.pretext or pair.projection_heads == "per_view"
        if asked and ObjectPairFlags not in row.flags:
            raise SettingsError(
                f"--method={model.method}: has one projector and no task beside it; give "
                "--pretext= and --projection_heads=shared"
            )
        if "rotation" in pair.pretext and len(self.views.strategies) < 2:
            raise SettingsError(
                "--pretext=rotation: compares an object with its surroundings; give two "
                "--view_strategies"
            )
        for name in pair.pretext:
            if not self.views.object_crops:
                raise SettingsError(
                    f"--pretext={name}: needs an object and its surroundings; give "
                    "--crops=object_dilated"
                )
        if pair.projection_heads == "per_view" and self.views.crops != "object_dilated":
            raise SettingsError(
                f"--projection_heads=per_view: the views of --crops={self.views.crops} are of one "
                "kind; give --crops=object_dilated or --projection_heads=shared"
            )

    def _check_surroundings(self) -> None:
        """Refuses dilated objects of which no loss sees a view: views take regions in turn."""
        views = range(len(self.views.strategies))
        seen = views if self.model.row.views == "one" else {v for p in self.views.pairs for v in p}
        if not any(view % 2 for view in seen) or all(view % 2 for view in seen):
            raise SettingsError(
                "--crops=object_dilated: the loss sees views of one kind alone; give two "
                "--view_strategies or more, and --compared_pairs of both, or --crops=object_object"
            )


@dataclasses.dataclass(frozen=True)
class ViewsReportSettings:
    """`python -m ssl_tf.views_report`; takes the flagfile of any pre-training."""

    pretrain: PretrainSettings
    output: str = setting("", "Directory for the sheets.")
    images: int = setting(4, "Images to show.", low=1, high=1000)
    draws: int = setting(3, "Draws of the recipe to show of each image.", low=1, high=1000)
    levels: tuple[float, ...] = setting(
        (), "Levels to show of each operation; empty: four, up to --level_scale.", low=0
    )

    @property
    def unused(self) -> dict[str, str]:
        """Takes back what pre-training says: the sheets show each operation by level."""
        taken_back = dict.fromkeys(("level_scale", "posterize_solarize", "monitor_split"), "")
        return {**taken_back, "auto": AUTO_REFUSED}

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output: give the directory for the sheets")
