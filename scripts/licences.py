"""Prints the packages of this environment with their versions and licences, as a Markdown table.

python scripts/licences.py
"""

from importlib import metadata

# A licence without an SPDX expression or a classifier, which is a whole text.
_LONGEST = 60


def licence(package: metadata.Distribution) -> str:
    """The licence that the metadata of a package names; "not told" if they name none."""
    told = package.metadata
    classified = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier", [])
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    text = told.get("License-Expression") or ", ".join(classified) or told.get("License") or ""
    text = " ".join(text.split())
    return text if 0 < len(text) <= _LONGEST else text[:_LONGEST].strip() or "not told"


def main() -> None:
    """Prints the table, by name."""
    packages = {package.name.lower(): package for package in metadata.distributions()}
    print("| package | version | licence |\n|---|---|---|")
    for _, package in sorted(packages.items()):
        print(f"| {package.name} | {package.version} | {licence(package)} |")


if __name__ == "__main__":
    main()
