"""Settings of a study: many runs by one file, and their table."""

import dataclasses
from pathlib import Path

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import ReadingSettings
from ssl_tf.settings.fields import setting, unless


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """`python -m ssl_tf.study`."""

    reading: ReadingSettings
    study: str = setting(
        "", "File of the study, in TOML; studies/NAME is a shipped one where there is no such file."
    )
    output: str = setting(
        "",
        "Directory of all runs and of their table; the same command goes on there, also on several "
        "machines at a time.",
    )
    extra: str = setting(
        "",
        "Further flags for all stages that read them, separated by spaces, such as "
        "'--epochs=2 --scenes=400', to try a study out.",
    )
    silence: float = setting(
        60.0,
        "Seconds of silence of another machine after which its arm is taken over.",
        above=2,
        affects_result=False,
        high=1e6,
    )
    finished: str = setting(
        "",
        "finished.json of this study in another --output, perhaps of another machine; its runs "
        "count as done here.",
    )
    report: bool = setting(False, "Only write the table and picture of what is finished.")
    dry_run: bool = setting(False, "Print what the study would do, and exit.")

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return unless(not self.dry_run, "a dry run begins nothing", "finished", "report")

    @property
    def directory(self) -> Path:
        """The output; "." is absolute, so that the paths in it begin with its text, too."""
        path = Path(self.output)
        return path if path.parts else Path.cwd()

    def __post_init__(self) -> None:
        if not self.study:
            raise SettingsError("--study: give the file of the study, such as studies/NAME.toml")
        if not self.output and not self.dry_run:
            raise SettingsError("--output: give the directory for the runs and their table")
