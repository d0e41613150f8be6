# What the hub may do in the vault: its own secrets, secrets that an administrator refers to under
# shared/, SSH certificates of one role, and its own token. Nothing else, no listing.
path "kv/data/openpam/*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "kv/metadata/openpam/*" {
  capabilities = ["delete"]
}
path "kv/data/shared/*" {
  capabilities = ["read"]
}
path "ssh/sign/openpam" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "sys/health" {
  capabilities = ["read"]
}
# For `openpam doctor`, which compares what the policy allows with what the hub needs.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
