"""What README and documentation promise: commands, flags, flagfiles and links that exist."""

import re
import shlex
from pathlib import Path

import pytest

from ssl_tf import __main__ as commands
from ssl_tf import settings
from ssl_tf.settings import fields, flagfiles

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
SETTINGS = {
    "prepare": settings.PrepareSettings,
    "pretrain": settings.PretrainSettings,
    "views_report": settings.ViewsReportSettings,
    "benchmark input": settings.InputBenchmarkSettings,
    "benchmark train": settings.TrainBenchmarkSettings,
    "knn": settings.KnnSettings,
    "linear": settings.LinearSettings,
    "finetune": settings.FineTuneSettings,
    "segment": settings.SegmentSettings,
    "detect": settings.DetectSettings,
    "transfer": settings.TransferSettings,
    "compare": settings.CompareSettings,
    "study": settings.StudySettings,
    "export": settings.ExportSettings,
    "embed": settings.EmbedSettings,
    "discover": settings.DiscoverSettings,
    "proposals import": settings.ImportProposalsSettings,
    "proposals inspect": settings.InspectSettings,
    "proposals verify": settings.StoreSettings,
    "proposals shuffle": settings.ShuffleSettings,
    "openimages": settings.OpenImagesSettings,
}
# Of sbatch, docker, Beam, pytest and scripts.
OTHER_FLAGS = {
    "nodes",
    "gpus-per-node",
    "cpus-per-task",
    "gpus",
    "shm-size",
    "rm",
    "build-arg",
    "fast",
    "help",
    "version",
}
OTHER_FLAGS |= {"encoder_cifar10", "images", "port", "service_port", "runner", "job_endpoint"}
OTHER_FLAGS |= {"environment_type", "environment_config"}


def rows():
    """The cells of every row of the tables in which recipes have their results."""
    for name in ("README.md", "docs/recipes.md"):
        for line in TEXT[name].splitlines():
            if line.startswith("|") and "python -m" not in line:
                yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("flagfile", sorted(path.name for path in (ROOT / "configs").iterdir()))
def test_every_flagfile_is_in_a_table_with_its_result_or_says_why_not(flagfile):
    results = [cells[-1] for cells in rows() if re.search(rf"\b{re.escape(flagfile)}", cells[0])]
    assert results, f"{flagfile} is in no table of docs/recipes.md"
    # A figure; where none of it is ours, the words for it.
    assert all(re.search(r"\d", result) for result in results)
    head = (ROOT / "configs" / flagfile).read_text().split("\n--")[0].replace("\n# ", " ")
    if re.search("not run by us", head, re.IGNORECASE):
        assert all("not run by us" in result for result in results)


def test_the_readme_takes_ten_minutes():
    words = [word for word in TEXT["README.md"].split() if re.search(r"\w", word)]
    assert len(words) <= 1400


def command_lines(text):
    """What stands behind `python -m ssl_tf`, continued lines joined, comments cut."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in re.findall(r"python -m ssl_tf[. ]([a-z_]+[^`\n]*)", joined):
        yield line.split(" #")[0].strip()


LINES = sorted({(page, line) for page, text in TEXT.items() for line in command_lines(text)})


def test_commands_are_found_in_the_pages():
    named = {re.split(r"\W", line)[0] for _, line in LINES}
    assert named >= {"pretrain", "knn", "linear", "finetune", "transfer", "compare", "export"}
    assert {page for page, _ in LINES} >= {"README.md", "docs/discovery.md", "docs/measured.md"}


@pytest.mark.parametrize("page, line", LINES)
def test_every_command_of_the_pages_exists_and_its_flags_are_right(page, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    name, *arguments = shlex.split(line.removeprefix("data."))
    assert name in commands.COMMANDS
    if arguments[:1] and f"{name} {arguments[0]}" in SETTINGS:
        name = f"{name} {arguments.pop(0)}"
    # A command that is only named, or left open.
    if not any(argument.startswith("--") for argument in arguments) or "..." in line:
        return
    assert all(argument.startswith("--") for argument in arguments)
    arguments = [argument.replace("=STEP", "=1") for argument in arguments]
    flagfiles.parse(arguments, SETTINGS[name])


def test_every_flag_that_the_pages_name_is_one():
    known = {name for kind in SETTINGS.values() for name in fields.names(kind)}
    known |= {f"no{name}" for name in known} | {"flagfile"} | OTHER_FLAGS
    for page, text in TEXT.items():
        for flag in re.findall(r"(?<![-\w])--([a-z][\w-]*)", text):
            assert flag in known, f"{page}: --{flag}"


def test_files_that_the_pages_name_are_there():
    for page, text in TEXT.items():
        for path in re.findall(
            r"\b(?:scripts|configs|studies|tests|ssl_tf|docs)/[\w/]+\.\w+", text
        ):
            assert (ROOT / path).exists(), f"{page}: {path}"


def without_code(text):
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(text):
    """The names by which headings are linked."""
    titles = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_links_lead_somewhere():
    found = 0
    for page, text in TEXT.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            if target.startswith("https://"):
                continue
            path, _, anchor = target.partition("#")
            linked = (ROOT / page).parent / path if path else ROOT / page
            assert linked.exists(), f"{page}: {target}"
            assert not anchor or anchor in anchors(linked.read_text()), f"{page}: {target}"
            found += 1
    assert found > 30


def test_every_page_is_in_the_menu_and_in_the_index():
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in TEXT:
        if page.startswith("docs/") and page != "docs/index.md":
            name = page.removeprefix("docs/")
            assert f": {name}\n" in menu and f"]({name})" in TEXT["docs/index.md"]


def test_the_changelog_has_this_version():
    import ssl_tf

    assert f"\n## [{ssl_tf.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
