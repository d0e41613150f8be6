# shellcheck shell=bash
# The commands of deploy/dev: up, down, status, logs, doctor, demo.

SERVERS=(postgres openbao idp sshd1 sshd2 s3 nats)

servers_start() {
  ports_assign
  tools_for_servers
  postgres_up
  openbao_up
  idp_up
  sshd_up
  s3_up
  nats_up
}

servers_up() {
  prepare_dirs
  lock_take "$STATE/run/lock"
  servers_start
  lock_release
  stack_status
}

stack_start() {
  servers_start
  hub_up
}

stack_up() {
  local started=$SECONDS
  (($# == 0)) || die "up takes no arguments"
  prepare_dirs
  lock_take "$STATE/run/lock"
  stack_start
  lock_release
  stack_status
  say "up after $((SECONDS - started)) s"
}

stack_stop() {
  hub_down
  nats_down
  s3_down
  sshd_down
  idp_down
  openbao_down
  postgres_down
}

stack_down() {
  local purge=0
  case ${1:-} in
    '') ;;
    --purge) purge=1 ;;
    *) die "unknown option: $1 (known: --purge)" ;;
  esac
  if [[ ! -e $STATE/.openpam-dev ]]; then
    say "nothing to end in $STATE"
    return
  fi
  ports_load
  lock_take "$STATE/run/lock"
  say "Ending the hub and its servers (open sessions get up to 25 s)"
  stack_stop
  lock_release
  port_release_all
  if ((purge)); then
    # The folder itself may be in one that only root can change.
    rm -rf "$STATE" 2>/dev/null || as_root "delete $STATE" rm -rf "$STATE"
  fi
  say "down"
}

stack_status() {
  [[ -e $STATE/ports ]] || die "no stack in $STATE: run deploy/dev up"
  ports_load
  local format=text
  case ${1:-} in
    '') ;;
    --json) format=json ;;
    *) die "unknown option: $1 (known: --json)" ;;
  esac
  local name running=()
  for name in "${SERVERS[@]}" hub; do
    if process_alive "$name"; then running+=("$name=$(process_pid "$name")"); fi
  done
  OPENPAM_RUNNING="${running[*]}" OPENPAM_CACHE=$CACHE OPENPAM_TARGET_DIR=$CARGO_TARGET_DIR \
    python3 "$STACK/status.py" "$format" "$STATE" "$STACK/idp/directory.json"
}

stack_logs() {
  local name=${1:-} files=()
  if [[ -z $name ]]; then
    files=("$STATE"/logs/*.log)
  else
    files=("$STATE/logs/$name.log")
  fi
  [[ -e ${files[0]} ]] || die "no log of that name in $STATE/logs"
  exec tail -n 40 -F "${files[@]}"
}

stack_doctor() {
  [[ -x $STATE/hub/openpam ]] || die "no hub in $STATE: run deploy/dev up"
  "$STATE/hub/openpam" doctor --config "$STATE/hub/hub.toml" "$@"
}

stack_demo() {
  process_alive hub || die "the hub does not run: deploy/dev up"
  ports_load
  local status
  status=$(mktemp)
  stack_status --json >"$status"
  python3 "$STACK/demo.py" "$status" || { rm -f "$status"; return 1; }
  rm -f "$status"
}
