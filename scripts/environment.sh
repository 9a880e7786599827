# Sourced by the other scripts, in bash: makes and enters the virtual environment of this checkout.
# Installs once, with CUDA where there is a GPU or WITH_CUDA is set; again only when setup.py or the
# constraints change. PYTHON names the Python, and with it the stack:
#   3.11          TensorFlow 2.15, tensorflow-addons, numpy 1    .venv       (the default)
#   3.12, 3.13    TensorFlow 2.21, tf-keras, numpy 2             .venv-3.12, .venv-3.13

if [ -z "${BASH_SOURCE:-}" ]; then # no other shell tells where a sourced file lies
  echo "error: source scripts/environment.sh in bash" >&2
  return 1
fi
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

candidates=(python3.11 python3.13 python3.12 python3 python)
if [ -n "${PYTHON:-}" ]; then
  candidates=("$PYTHON")
fi
python="" version=""
for candidate in "${candidates[@]}"; do
  version="$("$candidate" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)"
  case "$version" in
    3.11) python="$candidate" venv=.venv constraints=constraints.txt ;;
    3.12 | 3.13) python="$candidate" venv=".venv-$version" constraints=constraints-tf2.21.txt ;;
    *) continue ;;
  esac
  break
done
if [ -z "$python" ]; then
  echo "error: ${PYTHON:-python3.11, python3.12, python3.13}: no Python 3.11 to 3.13 with venv; set PYTHON to one" >&2
  return 1
fi

stamp="$venv/installed"
wanted="$(cat setup.py "$constraints" | sha256sum)"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "installing $constraints for Python $version into $root/$venv (a minute or two, more on a slow line)" >&2
  # A shell that sources this goes on after an error, so what failed must not be stamped.
  "$python" -m venv --clear "$venv" &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" -e '.[test,docs]' &&
    echo "$wanted" > "$stamp" || return 1
fi

# CUDA and cuDNN as wheels, where there is a GPU, or will be (WITH_CUDA=1 on a login node).
if [ -n "${WITH_CUDA:-}" ] || nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
  stamp="$venv/installed-cuda"
  wanted="$(sha256sum < "$constraints")"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing tensorflow[and-cuda], for the GPUs (2 to 3 GB)" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" \
      'tensorflow[and-cuda]' && echo "$wanted" > "$stamp" || return 1
  fi
fi

# The tests need Model Garden too, which is large, and goes with the default stack alone.
if [ -n "${WITH_DOWNSTREAM:-}" ] && [ "$version" = 3.11 ]; then
  stamp="$venv/installed-downstream"
  wanted="$(cat setup.py "$constraints" constraints-downstream.txt | sha256sum)"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing constraints-downstream.txt, for the tests of detection (some minutes)" >&2
    # The variable also holds for what the builds of packages bring, by which one of them fails.
    PIP_CONSTRAINT="$root/constraints-downstream.txt" "$venv/bin/python" -m pip install --quiet \
      --disable-pip-version-check -c "$constraints" -e '.[test,downstream]' &&
      echo "$wanted" > "$stamp" || return 1
  fi
fi
export PATH="$root/$venv/bin:$PATH"
