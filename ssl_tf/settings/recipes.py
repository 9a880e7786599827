"""The strategies and the recipes of views, one row each.

A strategy says what happens to the pixels of one view. A recipe names the strategies of the two
views and the crop law. The pixel operations themselves are in `ssl_tf.views`: the policies in
`policies.POLICIES`, the colour chains in `chains.CHAINS`.
"""

from typing import NamedTuple

# The policies from which a view draws its operations, each with the same chance. A strategy without
# policies is the colour chain of the same name; "plain" keeps the crop as it is.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "integrated": ("autoaugment", "fast_autoaugment", "randaugment"),  # MA-SSRL section 3.2
    "autoaugment": ("autoaugment",),
    "fast_autoaugment": ("fast_autoaugment",),
    "randaugment": ("randaugment",),
    "autoaugment_torchvision": ("autoaugment_torchvision",),
    "randaugment_torchvision": ("randaugment_torchvision",),
    "byol_t": (),
    "byol_t_prime": (),
    "simclr": (),
    "ma_ssrl_simclr": (),
    "moco": (),
    "plain": (),
}


# Whose arithmetic a recipe follows where libraries differ, in resizing and in colour chains.
LIBRARIES = ("tensorflow", "pillow")


class RecipeDefaults(NamedTuple):
    """What a recipe sets unless a flag says otherwise.

    Attributes:
        strategies: one strategy a view, names in `STRATEGIES`.
        crop: crop law of scene crops, a choice of --crop.
        library: of `LIBRARIES`, that of the code whose figures the recipe quotes.
        area: smallest and largest area of its crops; empty: those of the crop law.
        interpolation: bilinear or bicubic; empty: that of the crop law.
        distinct_crops: crops an image, as --distinct_crops; 0: every view its own.
    """

    strategies: tuple[str, ...]
    crop: str
    library: str = "tensorflow"
    area: tuple[float, ...] = ()
    interpolation: str = ""
    distinct_crops: int = 0


_BYOL_COLOURS = ("byol_t", "byol_t_prime")

# docs/views.md names the code that each row follows.
RECIPES: dict[str, RecipeDefaults] = {
    "ma_ssrl": RecipeDefaults(("integrated", "integrated"), "uniform"),
    "byol": RecipeDefaults(_BYOL_COLOURS, "byol"),
    "simclr": RecipeDefaults(("simclr", "simclr"), "inception"),
    "moco": RecipeDefaults(("moco", "moco"), "random_resized", "pillow"),
    "swav": RecipeDefaults(("simclr", "simclr"), "random_resized", "pillow", area=(0.14, 1.0)),
    "barlow_twins": RecipeDefaults(
        _BYOL_COLOURS, "random_resized", "pillow", area=(0.08, 1.0), interpolation="bicubic"
    ),
    "dino": RecipeDefaults(
        _BYOL_COLOURS, "random_resized", "pillow", area=(0.14, 1.0), interpolation="bicubic"
    ),
    # The authors' PyTorch code: four strategies on each of two crops. Their chain, which they call
    # SimCLR's, has the strengths of BYOL's first view.
    "ma_ssrl_authors": RecipeDefaults(
        (
            *("byol_t", "byol_t"),
            *("randaugment_torchvision", "randaugment_torchvision"),
            *("autoaugment_torchvision", "autoaugment_torchvision"),
            *("fast_autoaugment", "fast_autoaugment"),
        ),
        "random_resized",
        "pillow",
        area=(0.08, 1.0),
        interpolation="bicubic",
        distinct_crops=2,
    ),
}
