# shellcheck shell=bash
# deploy/dev bench: the release build beside a direct ssh, in a private stack that ends with it.

# bench_needs NAME ARGUMENT…: whether the arguments name this measurement, or none, which means all.
bench_needs() {
  local name=$1 argument given=0 value=0
  shift
  for argument in "$@"; do
    if ((value)); then
      value=0
    elif [[ $argument == --json ]]; then
      value=1
    elif [[ $argument == "$name" ]]; then
      return 0
    elif [[ $argument != --* ]]; then
      given=1
    fi
  done
  ((!given))
}

bench_run() {
  test_private_stack
  prepare_dirs
  build_ui
  build_binary --release
  step "Building the load client"
  (cd "$ROOT" && SQLX_OFFLINE=true cargo bench --locked --quiet --package openpam-tests --bench terminal --no-run)
  if bench_needs seek "$@"; then test_browser; fi
  lock_take "$STATE/run/lock"
  servers_start
  lock_release
  stack_status --json | write_private "$STATE/status.json"
  step "Measuring"
  (cd "$ROOT" && OPENPAM_TEST_STACK=$STATE/status.json OPENPAM_TEST_BINARY=$BINARY SQLX_OFFLINE=true \
    cargo bench --locked --quiet --package openpam-tests --bench terminal -- "$@")
}
