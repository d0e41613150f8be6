# shellcheck shell=bash
# .sqlx: what sqlx's query macros learned from the database, so that builds need none.

# sqlx_roots: the crate roots of the packages that use query macros.
sqlx_roots() {
  local manifest folder file
  while IFS= read -r manifest; do
    folder=$(dirname "$manifest")
    if grep -rqE --include='*.rs' '\b(query|query_as|query_scalar|query_file|query_file_as)(_unchecked)?!\(' "$folder"; then
      for file in "$folder/src/lib.rs" "$folder/src/main.rs"; do
        if [[ -e $file ]]; then printf '%s\n' "$file"; fi
      done
    fi
  done < <(find "$ROOT/hub" "$ROOT/common" "$ROOT/tests" -name Cargo.toml -not -path '*/node_modules/*')
}

# sqlx_describe FOLDER: fills FOLDER from a throwaway database with the schema of migrations/.
sqlx_describe() {
  local output=$1 database=openpam_sqlx_$$ url file roots failed=0
  mapfile -t roots < <(sqlx_roots)
  ((${#roots[@]})) || die "no package uses sqlx's query macros: has the layout changed?"
  postgres_superuser_sql <<<"create database $database owner openpam_owner; grant connect on database $database to openpam_app;"
  url=$(postgres_url openpam_owner "$database")
  for file in "$ROOT"/migrations/*.sql; do
    # The password goes through the environment, not the argument list.
    PGPASSWORD=$(<"$STATE/secrets/postgres_openpam_owner") "$PG_BIN/psql" -X -q -1 -v ON_ERROR_STOP=1 \
      -h 127.0.0.1 -p "${PORT[postgres]}" -U openpam_owner -d "$database" -f "$file" >/dev/null || {
      failed=1
      break
    }
  done
  if ((!failed)); then
    # The macros write only when they run, and cargo does not know that they look at a database.
    touch "${roots[@]}"
    (cd "$ROOT" && DATABASE_URL=$url SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$output \
      cargo check --locked --quiet --workspace --all-targets) || failed=1
    # What was compiled against the throwaway database is stale from here on.
    touch "${roots[@]}"
  fi
  postgres_superuser_sql <<<"drop database $database with (force);"
  ((!failed)) || die "the queries could not be described, see above"
}

sqlx_prepare() {
  local check=0 output ours=0 same=0
  case ${1:-} in
    '') ;;
    --check) check=1 ;;
    *) die "unknown option: $1 (known: --check)" ;;
  esac
  prepare_dirs
  tools_for_build
  tools_apt "postgresql-15:$PG_BIN/postgres" "postgresql-client-15:$PG_BIN/psql"
  lock_take "$STATE/run/lock"
  ports_assign
  process_alive postgres || ours=1
  postgres_up
  output=$(mktemp -d "$STATE/run/sqlx.XXXXXX")
  sqlx_describe "$output"
  if ((ours)); then postgres_down; fi
  lock_release
  if diff -rq "$output" "$ROOT/.sqlx" >/dev/null 2>&1; then same=1; fi
  if ((check)); then
    if ((!same)); then
      diff -rq "$output" "$ROOT/.sqlx" >&2 || true
      rm -rf "$output"
      die ".sqlx is stale: run deploy/dev db-prepare and commit the result"
    fi
    say ".sqlx is fresh ($(find "$output" -type f | wc -l) queries)"
  elif ((!same)); then
    rm -rf "$ROOT/.sqlx"
    cp -r "$output" "$ROOT/.sqlx"
    chmod -R u=rwX,go=rX "$ROOT/.sqlx"
    say ".sqlx regenerated ($(find "$output" -type f | wc -l) queries)"
  else
    say ".sqlx was fresh already"
  fi
  rm -rf "$output"
}
