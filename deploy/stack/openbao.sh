# shellcheck shell=bash
# OpenBao: raft storage, unsealed by itself with a static key, set up from its configuration on the
# first start (self-initialisation, so there is no root token), with a file audit device.

openbao_address() { printf 'http://127.0.0.1:%s' "${PORT[openbao]}"; }

# openbao_call METHOD PATH TOKEN_FILE [HEADER]: standard input is the JSON body. Neither token nor
# body appear in an argument list.
openbao_call() {
  local method=$1 path=$2 token_file=$3 header=${4:-X-Vault-Request: true}
  curl -sS --fail-with-body --max-time 10 -X "$method" -H "$header" -H "X-Vault-Request: true" \
    --config <([[ -z $token_file ]] || printf 'header = "X-Vault-Token: %s"\n' "$(<"$token_file")") \
    --data-binary @- "$(openbao_address)/v1/$path"
}

openbao_config() {
  local folder=$STATE/openbao
  write_private "$folder/config.hcl" <<HCL
api_addr = "http://127.0.0.1:${PORT[openbao]}"
cluster_addr = "http://127.0.0.1:${PORT[openbao_cluster]}"
ui = true
storage "raft" {
  path = "$folder/raft"
  node_id = "dev"
  performance_multiplier = 1
}
listener "tcp" {
  address = "127.0.0.1:${PORT[openbao]}"
  cluster_address = "127.0.0.1:${PORT[openbao_cluster]}"
  tls_disable = true
}
seal "static" {
  current_key_id = "dev-1"
  current_key = "file://$folder/unseal.key"
}
audit "file" "to-file" {
  options { file_path = "$STATE/logs/openbao-audit.log" }
}
$(<"$STATE/openbao/initialize.hcl")
HCL
}

# What the first start sets up; written once, because it holds the administrator's password.
openbao_initialize() {
  local file=$STATE/openbao/initialize.hcl
  [[ -e $file ]] && return
  make_secret "$STATE/secrets/openbao_admin"
  python3 "$STACK/openbao_initialize.py" "$STATE/secrets/openbao_admin" "$STACK/openbao_policy.hcl" | write_private "$file"
}

openbao_admin_login() {
  local token=$STATE/secrets/openbao_admin_token
  if [[ -s $token ]] && openbao_call GET auth/token/lookup-self "$token" </dev/null >/dev/null 2>&1; then return; fi
  printf '{"password":"%s"}' "$(<"$STATE/secrets/openbao_admin")" |
    openbao_call POST auth/userpass/login/admin '' |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["auth"]["client_token"], end="")' | write_private "$token"
}

openbao_healthy() { curl -sf --max-time 2 "$(openbao_address)/v1/sys/health"; }
openbao_set_up() { openbao_admin_login && openbao_call GET ssh/config/ca "$STATE/secrets/openbao_admin_token" </dev/null; }

# openbao_policy: the hub's policy as it is in the checkout, also in a stack that was set up before.
openbao_policy() {
  local known=$STATE/openbao/policy.hcl
  cmp -s "$STACK/openbao_policy.hcl" "$known" && return
  python3 -c 'import json, sys; json.dump({"policy": sys.stdin.read()}, sys.stdout)' <"$STACK/openbao_policy.hcl" |
    openbao_call POST sys/policies/acl/openpam "$STATE/secrets/openbao_admin_token" >/dev/null ||
    die "the hub's policy could not be written into OpenBao"
  cp "$STACK/openbao_policy.hcl" "$known"
}

openbao_up() {
  local folder=$STATE/openbao
  # Started again it unseals itself: somebody may have sealed it.
  if process_alive openbao && ! openbao_healthy >/dev/null; then process_stop openbao TERM 20; fi
  if ! process_alive openbao; then
    if [[ ! -s $folder/unseal.key ]]; then (umask 077 && openssl rand -out "$folder/unseal.key" 32); fi
    mkdir -p "$folder/raft"
    openbao_initialize
    openbao_config
    process_start openbao "$BAO" server -config="$folder/config.hcl"
    process_ready openbao 60 openbao_healthy
    process_ready openbao 30 openbao_set_up
  fi
  openbao_admin_login
  openbao_policy
}

openbao_down() { process_stop openbao TERM 20; }

# openbao_wrapped_secret_id FILE: a fresh secret id of the hub's role, response-wrapped, into FILE.
openbao_wrapped_secret_id() {
  openbao_call POST auth/approle/role/openpam/secret-id "$STATE/secrets/openbao_admin_token" 'X-Vault-Wrap-TTL: 300s' <<<'{}' |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["wrap_info"]["token"], end="")' | write_private "$1"
}

openbao_role_id() {
  openbao_call GET auth/approle/role/openpam/role-id "$STATE/secrets/openbao_admin_token" </dev/null |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["data"]["role_id"], end="")'
}

# openbao_ssh_ca: the public key of the SSH certificate authority.
openbao_ssh_ca() {
  openbao_call GET ssh/config/ca "$STATE/secrets/openbao_admin_token" </dev/null |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["data"]["public_key"].strip())'
}
