# shellcheck shell=bash
# The hub: configuration, schema, first administrator, process, demo data.

LOCAL_USERS=(admin operator auditor user)

hub_url() { printf 'http://127.0.0.1:%s' "${PORT[hub]}"; }

# hub_config: the configuration file; false when it has not changed.
hub_config() {
  local directory=$STACK/idp/directory.json
  write_if_changed "$STATE/hub/hub.toml" <<TOML
[server]
listen = "127.0.0.1:${PORT[hub]}"
public_url = "$(hub_url)"

[database]
url = "postgres://openpam_app@127.0.0.1:${PORT[postgres]}/openpam"
password_file = "$STATE/secrets/postgres_openpam_app"
owner_url = "postgres://openpam_owner@127.0.0.1:${PORT[postgres]}/openpam"
owner_password_file = "$STATE/secrets/postgres_openpam_owner"
ledger_url = "postgres://openpam_ledger@127.0.0.1:${PORT[postgres]}/openpam"
ledger_password_file = "$STATE/secrets/postgres_openpam_ledger"

[log]
format = "json"
filter = "info"

[vault]
address = "$(openbao_address)"
approle_mount = "approle"
kv_mount = "kv"
ssh_mount = "ssh"
role_id = "$(openbao_role_id)"
wrapped_secret_id_file = "$STATE/hub/wrapped_secret_id"
kv_prefix = "openpam"

[vault.ssh_roles]
dev = ["openpam"]

[recording]
directory = "$STATE/recordings"

[ledger]
anchor_file = "$STATE/hub/ledger-anchor.jsonl"

[events]
webhook_loopback = true

[oidc]
tenant = "dev"
display_name = "Entra ID"
issuer = "$(idp_issuer)"
client_id = "$(json_field "$directory" client_id)"
client_secret_file = "$STATE/idp/client_secret"
allowed_tids = ["$(idp_tenant_id)"]
scopes = ["openid", "profile", "email", "offline_access"]

[oidc.group_roles]
"$(json_field "$directory" groups admins)" = ["admin"]
"$(json_field "$directory" groups operators)" = ["operator"]
"$(json_field "$directory" groups auditors)" = ["auditor"]
TOML
}

# hub_ready answers only when the database and the vault are usable.
hub_ready() { curl -sf --max-time 3 "$(hub_url)/readyz"; }

# hub_install: a copy of the binary for this stack, so that a build for another checkout or a test
# does not change what runs. False when it is the same as before.
hub_install() {
  local stamp
  stamp=$(stat -c '%i %s %Y' "$BINARY")
  [[ -x $STATE/hub/openpam && $(cat "$STATE/hub/binary_stamp" 2>/dev/null) == "$stamp" ]] && return 1
  cp --reflink=auto "$BINARY" "$STATE/hub/openpam.new"
  mv "$STATE/hub/openpam.new" "$STATE/hub/openpam"
  printf '%s' "$stamp" >"$STATE/hub/binary_stamp"
}

hub_up() {
  local changed=0 user
  build_ui
  build_binary
  for user in "${LOCAL_USERS[@]}"; do make_secret "$STATE/secrets/user_$user"; done
  if hub_install; then changed=1; fi
  if hub_config; then changed=1; fi
  if ((changed)) || ! process_alive hub; then
    hub_down
    "$STATE/hub/openpam" migrate --config "$STATE/hub/hub.toml" >>"$STATE/logs/migrate.log" 2>&1 || {
      tail -n 20 "$STATE/logs/migrate.log" >&2
      die "the schema could not be brought up to date, see $STATE/logs/migrate.log"
    }
    "$STATE/hub/openpam" admin create --config "$STATE/hub/hub.toml" --tenant dev --tenant-name Development \
      --username admin --display-name Administrator --password-file "$STATE/secrets/user_admin" --if-missing >&2 ||
      die "the first administrator could not be created"
    openbao_wrapped_secret_id "$STATE/hub/wrapped_secret_id"
    process_start hub "$STATE/hub/openpam" hub --config "$STATE/hub/hub.toml"
    process_ready hub 30 hub_ready
  fi
  hub_seed
}

# hub_seed: users, groups, targets and credentials, through the hub's own API.
hub_seed() {
  local facts=$STATE/hub/facts.json
  stack_status --json | write_private "$facts"
  python3 "$STACK/seed.py" "$facts" "$STATE/hub" "$STATE/secrets"
}

hub_down() { process_stop hub TERM 25; }
