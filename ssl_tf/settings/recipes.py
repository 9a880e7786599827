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
    "byol_t": (),
    "byol_t_prime": (),
    "simclr": (),
    "ma_ssrl_simclr": (),
    "moco": (),
    "plain": (),
}


class RecipeDefaults(NamedTuple):
    """What a recipe sets unless a flag says otherwise.

    Attributes:
        strategies: one strategy a view, names in `STRATEGIES`.
        crop: crop law of scene crops, a choice of --crop.
    """

    strategies: tuple[str, ...]
    crop: str


RECIPES: dict[str, RecipeDefaults] = {
    "ma_ssrl": RecipeDefaults(("integrated", "integrated"), "uniform"),
    "byol": RecipeDefaults(("byol_t", "byol_t_prime"), "byol"),
    "simclr": RecipeDefaults(("simclr", "simclr"), "inception"),
    "moco": RecipeDefaults(("moco", "moco"), "random_resized"),
}
