# shellcheck shell=bash
# deploy/dev bench: the release build beside a direct ssh, in a private stack that ends with it.

bench_run() {
  test_private_stack
  prepare_dirs
  build_ui
  build_binary --release
  step "Building the load client"
  (cd "$ROOT" && SQLX_OFFLINE=true cargo bench --locked --quiet --package openpam-tests --bench terminal --no-run)
  lock_take "$STATE/run/lock"
  servers_start
  lock_release
  stack_status --json | write_private "$STATE/status.json"
  step "Measuring"
  (cd "$ROOT" && OPENPAM_TEST_STACK=$STATE/status.json OPENPAM_TEST_BINARY=$BINARY SQLX_OFFLINE=true \
    cargo bench --locked --quiet --package openpam-tests --bench terminal -- "$@")
}
