# shellcheck shell=bash
# Builds the UI and the binary.

# ui_sources_hash: over everything that a build of the UI reads.
ui_sources_hash() {
  find "$ROOT/ui" \( -name node_modules -o -path "$ROOT/ui/dist" \) -prune -o -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sed "s|$ROOT||" | sha256sum | cut -c1-16
}

# ui_modules: ui/node_modules as a link into the cache. A folder that somebody made with npm is left.
ui_modules() {
  local modules
  if [[ -d $ROOT/ui/node_modules && ! -L $ROOT/ui/node_modules ]]; then
    say "ui/node_modules is a folder of your own: using it as it is"
    return
  fi
  modules=$(tools_node_modules "$ROOT/ui" ui)
  ln -sfn "$modules/node_modules" "$ROOT/ui/node_modules"
}

# build_ui: ui/dist as a link into the cache, under the hash of its sources.
build_ui() {
  [[ -e $ROOT/ui/package.json ]] || return 0
  local hash built
  hash=$(ui_sources_hash)
  built=$CACHE/ui/$hash
  if [[ ! -e $built/index.html ]]; then
    ui_modules
    step "Building the UI"
    mkdir -p "$CACHE/ui"
    lock_take "$CACHE/ui/.lock"
    rm -rf "$ROOT/ui/dist"
    (cd "$ROOT/ui" && npm run --silent build) >"$STATE/logs/build-ui.log" 2>&1 || {
      tail -n 30 "$STATE/logs/build-ui.log" >&2
      die "the UI did not build, see $STATE/logs/build-ui.log"
    }
    rm -rf "$built"
    mv "$ROOT/ui/dist" "$built"
    lock_release
  fi
  if [[ $(readlink "$ROOT/ui/dist" || true) != "$built" ]]; then
    rm -rf "$ROOT/ui/dist"
    ln -s "$built" "$ROOT/ui/dist"
    # The files are compiled into the binary, and cargo does not see that the link changed.
    grep -rl --include='*.rs' 'derive(RustEmbed)' "$ROOT/hub/src" | xargs -r touch
  fi
}

# build_progress WHAT [quiet]: says that WHAT is built once that takes longer than looking whether there is
# something to build; with `quiet`, where the builder shows nothing itself, again every half minute. Runs until it
# is killed, or its shell is gone.
build_progress() {
  exec python3 -c '
import os, sys, time
what, quiet = sys.argv[1], "quiet" in sys.argv[2:]
parent, begun, said = os.getppid(), time.monotonic(), None
while os.getppid() == parent:
    time.sleep(0.25)
    seconds = time.monotonic() - begun
    if said is None and seconds > 3:
        print(f"\033[1m==>\033[0m Building {what} (the first time takes some minutes)", file=sys.stderr, flush=True)
        said = 0
    elif said is not None and quiet and seconds >= said + 30:
        said += 30
        print(f"    building {what} for {said} s", file=sys.stderr, flush=True)
' "$@"
}

# build_binary [CARGO_OPTION…]: sets BINARY to the built executable. Cargo's output is shown only when
# there is something to say.
build_binary() {
  tools_for_build
  local log=$STATE/logs/build.log quiet=() progress status=0
  # On a terminal cargo shows its own progress.
  [[ -t 2 ]] || quiet=(--quiet)
  build_progress "the hub" ${quiet[@]:+quiet} &
  progress=$!
  (cd "$ROOT" && SQLX_OFFLINE=true cargo build --locked "${quiet[@]}" --package openpam "$@" \
    --message-format=json-render-diagnostics) >"$log" || status=$?
  kill "$progress" 2>/dev/null || true
  wait "$progress" 2>/dev/null || true
  ((status == 0)) || die "the binary did not build"
  BINARY=$(python3 -c '
import json, sys
for line in open(sys.argv[1]):
    message = json.loads(line) if line.startswith("{") else {}
    if message.get("executable") and message["target"]["name"] == "openpam":
        print(message["executable"])' "$log" | tail -n 1)
  [[ -x $BINARY ]] || die "cargo built no executable named openpam, see $log"
}
