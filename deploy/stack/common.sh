# shellcheck shell=bash
# Folders, messages and small helpers that every other file of the stack uses.

# State of one stack. Servers that run as other users (PostgreSQL, the login shells of the SSH
# targets) must be able to pass through it, which /root does not allow: root's default is in /var/lib.
if [[ -n ${OPENPAM_DEV_DIR:-} ]]; then
  STATE=$OPENPAM_DEV_DIR
elif ((EUID == 0)); then
  STATE=/var/lib/openpam/dev
elif [[ ! $(stat -c %a "${HOME:-/}") =~ [1357]$ ]]; then
  STATE=/var/lib/openpam/dev-$(id -un)
else
  STATE=${XDG_STATE_HOME:-$HOME/.local/state}/openpam/dev
fi
# Build output and tools; survives checkouts and may be shared by several stacks.
CACHE=${OPENPAM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/openpam}
[[ $STATE == /* ]] || STATE=$PWD/$STATE
[[ $CACHE == /* ]] || CACHE=$PWD/$CACHE
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export CARGO_TARGET_DIR

say() { printf '%s\n' "$*" >&2; }
step() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'deploy/dev: error: %s\n' "$*" >&2
  exit 1
}

# as_root WHAT_FOR COMMAND…: runs COMMAND as root, through sudo where that needs no password.
as_root() {
  local what_for=$1
  shift
  if ((EUID == 0)); then
    "$@"
  elif sudo -n true 2>/dev/null; then
    sudo -n -- "$@"
  else
    die "needs root to $what_for: run as root, or allow sudo without a password"
  fi
}

# random_hex BYTES
random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# make_secret FILE: writes a random password into FILE (mode 0600) unless it is there already.
make_secret() {
  [[ -s $1 ]] && return
  (umask 077 && random_hex 16 >"$1.new" && mv "$1.new" "$1")
}

# write_private FILE: standard input into FILE with mode 0600, in one step.
write_private() { (umask 077 && cat >"$1.new" && mv "$1.new" "$1"); }

# write_if_changed FILE: standard input into FILE; false when the content was the same.
write_if_changed() {
  (umask 077 && cat >"$1.new")
  if cmp -s "$1.new" "$1"; then
    rm -f "$1.new"
    return 1
  fi
  mv "$1.new" "$1"
}

# wait_until SECONDS WHAT COMMAND…: waits for COMMAND to succeed; fails with WHAT in the message.
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      say "gave up waiting for $what"
      return 1
    fi
    sleep 0.05
  done
}

# is_listening PORT: whether something accepts connections on 127.0.0.1:PORT.
is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# hash_files PATH…: one hash over names and contents of the files below PATH, in a fixed order.
hash_files() {
  find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16
}

# json_field FILE KEY…: prints the value at that path of a JSON file.
json_field() {
  python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    value = value[key]
print(value)' "$@"
}

# prepare_dirs: makes the state folders and checks that other users can pass through.
prepare_dirs() {
  local dir
  # A socket's path may have 107 characters.
  ((${#STATE} <= 80)) || die "OPENPAM_DEV_DIR is too long for PostgreSQL's socket in it (at most 80 characters): $STATE"
  # Below /var/lib only root can make it, for whoever runs this.
  if [[ ! -d $STATE ]] && ((EUID != 0)) && ! install -d -m 0711 "$STATE" 2>/dev/null; then
    as_root "create $STATE" install -d -m 0711 -o "$(id -u)" -g "$(id -g)" "$STATE"
  fi
  for dir in "$STATE" "$STATE/run" "$STATE/logs" "$STATE/ssh"; do
    [[ -d $dir ]] || install -d -m 0711 "$dir"
  done
  for dir in "$STATE/secrets" "$STATE/openbao" "$STATE/idp" "$STATE/hub" "$STATE/s3"; do
    [[ -d $dir ]] || install -d -m 0700 "$dir"
  done
  [[ -d $CACHE ]] || mkdir -p "$CACHE"
  check_space
  [[ -e $STATE/.openpam-dev ]] || : >"$STATE/.openpam-dev"
  if ! as_root "look at $STATE as another user" setpriv --reuid=nobody --regid=nogroup --clear-groups test -x "$STATE"; then
    die "other users cannot pass through $STATE (PostgreSQL and the SSH targets must): set OPENPAM_DEV_DIR to a folder whose parents are all mode 711 or 755"
  fi
}

# free_mib FOLDER: space that is left for us where FOLDER is.
free_mib() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

# check_space: a full disk shows as an unclear failure of whoever writes next, so that it is said first.
check_space() {
  local folder free least
  for folder in "$STATE" "$CACHE" "${CARGO_TARGET_DIR%/*}"; do
    [[ -d $folder ]] || continue
    free=$(free_mib "$folder")
    least=300
    # A first build with all its tools takes about that much.
    if [[ $folder == "${CARGO_TARGET_DIR%/*}" && ! -e $CARGO_TARGET_DIR/debug/openpam ]]; then least=4000; fi
    ((free >= least)) || die "the disk is full: $folder has $free MiB left, at least $least are needed"
  done
}

# lock_take FILE: waits for its turn; the lock ends with lock_release or with this shell. (No wrapper
# that runs a command under the lock: what is called in a condition loses `set -e`.)
lock_take() {
  local descriptor
  exec {descriptor}>>"$1"
  if ! flock -n "$descriptor"; then
    say "waiting for another deploy/dev ($1)"
    flock "$descriptor"
  fi
  LOCK_DESCRIPTORS+=("$descriptor")
}

# lock_release: gives back the lock taken last.
lock_release() {
  local descriptor=${LOCK_DESCRIPTORS[-1]}
  exec {descriptor}>&-
  unset 'LOCK_DESCRIPTORS[-1]'
}
LOCK_DESCRIPTORS=()

# close_locks: called in a child that stays, so that it does not keep the locks of its parent.
close_locks() {
  local descriptor
  for descriptor in "${LOCK_DESCRIPTORS[@]}"; do
    exec {descriptor}>&-
  done
}
