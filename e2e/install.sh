#!/usr/bin/env bash
# Installs what the end-to-end tests run against (DuckDB, PyArrow, PyIceberg, ClickHouse, SeaweedFS, the official clients) and
# prints the folder:
#   <folder>/venv            Python with requirements.txt
#   <folder>/node_modules    wrangler, the TypeScript SDK and a Node new enough for them
#   <folder>/legacy          wranglers that create pipelines of the older product (wrangler-3, wrangler-4)
# The browser (chromium-headless-shell) and what plays faults (strace, faketime) are the system's; where one is missing, apt-get
# installs it (as root, or with sudo).
# The folder is named by a hash of the pinned versions, so a second run only prints it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(chromium-headless-shell strace faketime)
missing() { for program in "${programs[@]}"; do command -v "$program" >/dev/null || echo "$program"; done; }
if [ -n "$(missing)" ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then as_root=(sudo --non-interactive); fi
  apt_get() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >&2; }
  # Each is in the package of its name.
  if ! { apt_get update && apt_get install --yes --no-install-recommends $(missing) && [ -z "$(missing)" ]; }; then
    echo "install.sh: the tests need" $(missing) "and apt-get could not install it; install it by hand" >&2
    exit 1
  fi
fi
pins=("$here/requirements.txt" "$here/install.sh" "$here"/client/{,legacy/}package{,-lock}.json)
hash=$(cat "${pins[@]}" | sha256sum | cut -c1-16)
base=${LAKEHEAD_CACHE:-$HOME/.cache/lakehead}/e2e
folder=$base/$hash
if [ ! -e "$folder/complete" ]; then
  mkdir -p "$base"
  exec 9>"$base/lock"
  flock 9
  if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder"
    mkdir -p "$folder/legacy"
    cp "$here"/client/package{,-lock}.json "$folder/"
    cp "$here"/client/legacy/package{,-lock}.json "$folder/legacy/"
    # `npm ci` refuses a lock without the platforms a registry may lack; `npm install` keeps to the locked versions as well.
    # The clients' install scripts only tune binaries the tests do not run.
    for part in "$folder" "$folder/legacy"; do
      (cd "$part" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error) || exit 1
    done >&2 &
    npm_pid=$!
    python3 -m venv "$folder/venv" >&2
    "$folder/venv/bin/pip" install --quiet --no-deps --requirement "$here/requirements.txt" >&2
    wait "$npm_pid"
    touch "$folder/complete"
  fi
fi
echo "$folder"
