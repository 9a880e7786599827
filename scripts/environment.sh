# Sourced by the other scripts: makes and enters the virtual environment .venv of this checkout.
# Installs once; again only when setup.py or constraints.txt change. PYTHON names another Python 3.11.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

python=""
for candidate in "${PYTHON:-}" python3.11 python3 python; do
  if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    python="$candidate"
    break
  fi
done
if [ -z "$python" ]; then
  echo "error: no Python 3.11 with venv on the PATH; set PYTHON to one" >&2
  exit 1
fi

stamp=".venv/installed"
wanted="$(cat setup.py constraints.txt | sha256sum)"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "installing into $root/.venv (about a minute, more on a slow line)" >&2
  "$python" -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs]'
  echo "$wanted" > "$stamp"
fi
export PATH="$root/.venv/bin:$PATH"
