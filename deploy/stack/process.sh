# shellcheck shell=bash
# Processes of the stack. A pid file holds the pid and its start time, so that a pid that the
# kernel has given to another process since is never mistaken for ours.

# process_start_time PID: field 22 of /proc/PID/stat (clock ticks since boot); fails when it is gone
# or a zombie.
process_start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  # shellcheck disable=SC2086 # the fields are meant to be split
  set -- $stat
  [[ $1 != Z && $1 != X ]] || return 1
  printf '%s' "${20}"
}

# process_pid NAME: the pid of a living process of the stack.
process_pid() {
  local pid started
  [[ -e $STATE/run/$1.pid ]] || return 1
  read -r pid started <"$STATE/run/$1.pid" || return 1
  [[ $(process_start_time "$pid") == "$started" ]] || return 1
  printf '%s' "$pid"
}

process_alive() { process_pid "$1" >/dev/null; }

process_record() {
  local name=$1 pid=$2 started
  started=$(process_start_time "$pid") || return 1
  printf '%s %s\n' "$pid" "$started" >"$STATE/run/$name.pid.new"
  mv "$STATE/run/$name.pid.new" "$STATE/run/$name.pid"
}

# process_start NAME COMMAND…: starts COMMAND in a session of its own, its output in logs/NAME.log.
process_start() {
  local name=$1
  shift
  (
    close_locks
    trap - EXIT INT TERM
    cd /
    exec setsid "$@" </dev/null >>"$STATE/logs/$name.log" 2>&1
  ) &
  local pid=$!
  # The start time does not change over exec, so the pid can be recorded at once.
  process_record "$name" "$pid" || process_failed "$name"
  disown "$pid" 2>/dev/null || true
}

process_failed() {
  say "--- end of $STATE/logs/$1.log"
  tail -n 20 "$STATE/logs/$1.log" >&2 || true
  die "$1 did not start"
}

# process_ready NAME SECONDS COMMAND…: waits for COMMAND to succeed while NAME lives.
process_ready() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! process_alive "$name" || ((SECONDS >= deadline)); then process_failed "$name"; fi
    sleep 0.05
  done
}

# process_children PID: every descendant, children before grandchildren.
process_children() {
  local child children
  read -r -d '' -a children < <(cat "/proc/$1/task/"*/children 2>/dev/null) || true
  for child in "${children[@]}"; do
    printf '%s\n' "$child"
    process_children "$child"
  done
}

process_kill() {
  if ((EUID == 0)); then
    kill "$@" 2>/dev/null || true
  else
    kill "$@" 2>/dev/null || sudo -n kill "$@" 2>/dev/null || true
  fi
}

# process_stop NAME [SIGNAL] [SECONDS]: ends NAME and what it started, and waits until all are gone.
process_stop() {
  local name=$1 signal=${2:-TERM} seconds=${3:-15} pid deadline entry member started
  local family=()
  if pid=$(process_pid "$name"); then
    for member in $pid $(process_children "$pid"); do
      started=$(process_start_time "$member") && family+=("$member $started")
    done
    process_kill "-$signal" "$pid"
    deadline=$((SECONDS + seconds))
    while process_alive "$name" && ((SECONDS < deadline)); do sleep 0.05; done
    if process_alive "$name"; then
      warn "$name did not end within $seconds s: killing it"
      process_kill -KILL "$pid"
    fi
    # Descendants that outlive it, such as the login shells of an SSH target.
    for signal in TERM KILL; do
      deadline=$((SECONDS + 3))
      while ((SECONDS < deadline)); do
        local left=0
        for entry in "${family[@]}"; do
          member=${entry% *}
          if [[ $(process_start_time "$member") == "${entry#* }" ]]; then
            left=1
            process_kill "-$signal" "$member"
          fi
        done
        ((left)) || break 2
        sleep 0.05
      done
    done
  fi
  rm -f "$STATE/run/$name.pid"
}
