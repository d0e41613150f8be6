# shellcheck shell=bash
# The OpenID Connect provider (deploy/stack/idp): a real one, with claims shaped like Entra ID's.

idp_tenant_id() { json_field "$STACK/idp/directory.json" tenant_id; }
idp_issuer() { printf 'http://127.0.0.1:%s/%s/v2.0' "${PORT[oidc]}" "$(idp_tenant_id)"; }
idp_ready() {
  curl -sf --max-time 2 "$(idp_issuer)/.well-known/openid-configuration" && is_listening "${PORT[oidc_control]}"
}

# idp_passwords: a password for every user of the directory; kept when there is one already.
idp_passwords() {
  python3 - "$STACK/idp/directory.json" "$STATE/idp/passwords.json" <<'PYTHON'
import json, os, secrets, sys
users = [user["username"] for user in json.load(open(sys.argv[1]))["users"]]
try:
    passwords = json.load(open(sys.argv[2]))
except FileNotFoundError:
    passwords = {}
passwords = {name: passwords.get(name) or secrets.token_hex(8) for name in users}
descriptor = os.open(sys.argv[2] + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with os.fdopen(descriptor, "w") as file:
    json.dump(passwords, file)
os.rename(sys.argv[2] + ".new", sys.argv[2])
PYTHON
}

idp_up() {
  local modules version
  modules=$(tools_node_modules "$STACK/idp" idp)
  version=$(hash_files "$STACK/idp")
  if process_alive idp; then
    [[ $(cat "$STATE/idp/version" 2>/dev/null) == "$version" ]] && return
    idp_down
  fi
  idp_passwords
  make_secret "$STATE/idp/client_secret"
  make_secret "$STATE/idp/control_token"
  make_secret "$STATE/idp/cookie_secret"
  # It runs from a copy beside its packages, so that the checkout stays free of node_modules.
  rm -rf "$STATE/idp/app"
  mkdir -p "$STATE/idp/app"
  cp "$STACK"/idp/*.mjs "$STACK"/idp/*.json "$STATE/idp/app/"
  ln -s "$modules/node_modules" "$STATE/idp/app/node_modules"
  IDP_PORT=${PORT[oidc]} IDP_CONTROL_PORT=${PORT[oidc_control]} IDP_FOLDER=$STATE/idp \
    process_start idp "$(command -v node)" "$STATE/idp/app/server.mjs"
  process_ready idp 30 idp_ready
  printf '%s' "$version" >"$STATE/idp/version"
}

idp_down() { process_stop idp; }
