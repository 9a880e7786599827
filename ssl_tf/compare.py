"""Compares runs: one table and their curves.

`python -m ssl_tf.compare RUN RUN ... --output=DIR`
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ssl_tf import command
from ssl_tf.errors import SettingsError
from ssl_tf.files import prepare_output, write_text
from ssl_tf.settings import CompareSettings


def main(settings: CompareSettings) -> None:
    """Writes table.md, table.csv and curves.png, and prints the table."""
    from ssl_tf.evaluation.curves import draw_panels, write_png
    from ssl_tf.evaluation.equal_budget import at_equal
    from ssl_tf.evaluation.report_names import RANDOM_ROW
    from ssl_tf.evaluation.run_reports import earlier_figures, read_runs
    from ssl_tf.evaluation.run_table import panels, table
    from ssl_tf.evaluation.seed_rows import groups_of, joined, joined_panels

    output = Path(settings.output)
    prepare_output(output, is_directory=True)
    runs = read_runs([Path(run) for run in settings.runs])
    if settings.equal:
        runs, remarks = at_equal(runs, settings.equal)
    else:
        remarks = earlier_figures(runs)
    shown, drawn = table(runs), panels(runs, over=settings.equal or "epochs")
    names = [run.name for run in runs]
    if settings.join_seeds:
        groups = groups_of(runs)
        names = [group.name for group in groups]
        choices = [*names, *([RANDOM_ROW] if len(shown.rows) > len(runs) else [])]
        if settings.reference and settings.reference not in choices:
            raise SettingsError(
                f"--reference={settings.reference}: no row has this name; choose one of "
                f"{', '.join(choices)}"
            )
        shown = joined(shown, groups, settings.reference)
        drawn = joined_panels(drawn, groups)
    remarks = [*remarks, *shown.remarks]
    page = shown.as_markdown() + "".join(f"\n{remark}\n" for remark in remarks)
    for name, text in (("table.md", page), ("table.csv", shown.as_csv())):
        write_text(output / name, text)
    print(shown.as_markdown(), end="", flush=True)
    for remark in remarks:
        print(remark, file=sys.stderr)
    if drawn:
        absent = [name for name in names if not any(panel.series.get(name) for panel in drawn)]
        if absent:
            print(f"not in curves.png, without figures: {', '.join(absent)}", file=sys.stderr)
        write_png(draw_panels(drawn), output / "curves.png")
    else:
        print("no figures yet, so no curves.png", file=sys.stderr)


def flags_of(arguments: Sequence[str]) -> list[str]:
    """The command line with its plain arguments, which are runs, as the flag --runs.

    Raises:
        SettingsError: runs are given in both ways, or one cannot stand in that flag.
    """
    runs = [argument for argument in arguments if not argument.startswith("-")]
    flags = [argument for argument in arguments if argument.startswith("-")]
    if runs and any(flag.lstrip("-").partition("=")[0] == "runs" for flag in flags):
        raise SettingsError(f"--runs: {runs[0]} is given beside it; give all runs in one way")
    for run in runs:
        if "," in run:
            raise SettingsError(f"{run}: a comma ends the name of a run; give another path to it")
    return [*flags, f"--runs={','.join(runs)}"] if runs else flags


if __name__ == "__main__":
    command.run(main, CompareSettings, complete=flags_of)
