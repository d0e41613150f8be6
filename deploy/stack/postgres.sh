# shellcheck shell=bash
# A private PostgreSQL 15 cluster. Its superuser is reachable only through the socket, by root and
# by whoever started the stack; the two roles of OpenPAM log in over TCP with scram passwords.

postgres_folder() { printf '%s' "$STATE/postgres"; }

# postgres_run COMMAND…: as the user that owns the cluster (postgres refuses to run as root).
postgres_run() {
  if ((EUID == 0)); then
    setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
  else
    "$@"
  fi
}

postgres_superuser_sql() {
  "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$(postgres_folder)" -p "${PORT[postgres]}" -U postgres -d "${1:-postgres}"
}

# postgres_url ROLE DATABASE: with the password inside; only for output to its owner.
postgres_url() {
  printf 'postgres://%s:%s@127.0.0.1:%s/%s' "$1" "$(<"$STATE/secrets/postgres_$1")" "${PORT[postgres]}" "$2"
}

postgres_init() {
  local folder
  folder=$(postgres_folder)
  [[ -e $folder/data/.openpam-ready ]] && return
  step "Creating a PostgreSQL cluster"
  rm -rf "$folder"
  if ((EUID == 0)); then
    install -d -o postgres -g postgres -m 0711 "$folder"
  else
    install -d -m 0711 "$folder"
  fi
  postgres_run "$PG_BIN/initdb" -D "$folder/data" -U postgres -A scram-sha-256 --auth-local=peer \
    --no-sync -E UTF8 --locale=C.UTF-8 >"$STATE/logs/initdb.log" 2>&1 ||
    die "initdb failed, see $STATE/logs/initdb.log"
  postgres_run tee -a "$folder/data/postgresql.conf" >/dev/null <<CONF
# Without fsync a crash of the machine may lose data; the end of any process does not.
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 300
shared_buffers = 128MB
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
logging_collector = off
log_line_prefix = '%m [%p] %q%u@%d '
password_encryption = scram-sha-256
CONF
  postgres_run tee "$folder/data/pg_hba.conf" >/dev/null <<CONF
local all postgres peer map=openpam_dev
host  all all 127.0.0.1/32 scram-sha-256
CONF
  {
    printf 'openpam_dev %s postgres\n' root
    printf 'openpam_dev %s postgres\n' postgres
    if ((EUID != 0)); then printf 'openpam_dev %s postgres\n' "$(id -un)"; fi
  } | postgres_run tee "$folder/data/pg_ident.conf" >/dev/null
}

# postgres_remains: processes of a server that was killed; they end when they notice.
postgres_remains() {
  local link
  for link in /proc/[0-9]*/cwd; do
    if [[ $(readlink "$link" 2>/dev/null) == "$(postgres_folder)/data" ]]; then
      link=${link#/proc/}
      printf '%s\n' "${link%/cwd}"
    fi
  done
}

postgres_gone() { [[ -z $(postgres_remains) ]]; }

# postgres_clear_remains: waits for them, then removes the lock files of the killed server, whose pid
# may be anybody's by now.
postgres_clear_remains() {
  local folder pid
  folder=$(postgres_folder)
  [[ -e $folder/data/postmaster.pid ]] || return 0
  if ! wait_until 10 "the processes of a killed PostgreSQL" postgres_gone; then
    for pid in $(postgres_remains); do process_kill -KILL "$pid"; done
    wait_until 5 "the processes of a killed PostgreSQL" postgres_gone
  fi
  rm -f "$folder"/data/postmaster.pid "$folder"/.s.PGSQL.*
}

postgres_up() {
  local folder new=0
  folder=$(postgres_folder)
  make_secret "$STATE/secrets/postgres_openpam_owner"
  make_secret "$STATE/secrets/postgres_openpam_app"
  make_secret "$STATE/secrets/postgres_openpam_ledger"
  postgres_init
  process_alive postgres && return
  postgres_clear_remains
  if ((EUID == 0)); then
    process_start postgres setpriv --reuid=postgres --regid=postgres --init-groups -- \
      "$PG_BIN/postgres" -D "$folder/data" -p "${PORT[postgres]}"
  else
    process_start postgres "$PG_BIN/postgres" -D "$folder/data" -p "${PORT[postgres]}"
  fi
  process_ready postgres 30 "$PG_BIN/pg_isready" -q -h "$folder" -p "${PORT[postgres]}" -U postgres -d postgres
  [[ -e $folder/data/.openpam-ready ]] || new=1
  if ((new)); then
    postgres_superuser_sql <<SQL
create role openpam_owner login createdb nosuperuser nobypassrls password '$(<"$STATE/secrets/postgres_openpam_owner")';
create role openpam_app login nosuperuser nobypassrls nocreatedb nocreaterole password '$(<"$STATE/secrets/postgres_openpam_app")';
create database openpam owner openpam_owner;
revoke all on database openpam from public;
grant connect on database openpam to openpam_app;
SQL
    postgres_run touch "$folder/data/.openpam-ready"
  fi
  # Also of a cluster that an older stack made.
  if [[ ! -e $folder/data/.openpam-ledger ]]; then
    postgres_superuser_sql <<SQL
create role openpam_ledger login nosuperuser nobypassrls nocreatedb nocreaterole password '$(<"$STATE/secrets/postgres_openpam_ledger")';
grant connect on database openpam to openpam_ledger;
SQL
    postgres_run touch "$folder/data/.openpam-ledger"
  fi
}

# SIGINT is PostgreSQL's fast shutdown: it ends sessions instead of waiting for them.
postgres_down() { process_stop postgres INT; }
