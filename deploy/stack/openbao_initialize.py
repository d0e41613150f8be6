"""Prints the `initialize` block of OpenBao's configuration: everything that its first start sets up.

Arguments: the file with the administrator's password, the file with the hub's policy.
"""

import json
import sys

ADMINISTRATOR_POLICY = (
    'path "*" { capabilities = ["create","read","update","patch","delete","list","sudo"] }'
)


def requests(admin_password, hub_policy):
    """Name, path and body of each request, in the order in which they are made."""
    loopback = ["127.0.0.1/32"]
    return [
        ("kv", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}),
        ("ssh", "sys/mounts/ssh", {"type": "ssh"}),
        ("ssh_ca", "ssh/config/ca", {"generate_signing_key": True, "key_type": "ed25519"}),
        (
            "ssh_role",
            "ssh/roles/openpam",
            {
                "key_type": "ca",
                "allow_user_certificates": True,
                "allowed_users": "*",
                "default_extensions": {"permit-pty": ""},
                "allowed_extensions": "permit-pty",
                "allow_user_key_ids": True,
                "ttl": "5m",
                "max_ttl": "5m",
                "not_before_duration": "30s",
            },
        ),
        ("approle", "sys/auth/approle", {"type": "approle"}),
        ("hub_policy", "sys/policies/acl/openpam", {"policy": hub_policy}),
        (
            "hub_role",
            "auth/approle/role/openpam",
            {
                "token_policies": ["openpam"],
                "token_no_default_policy": True,
                "token_period": "20m",
                "token_bound_cidrs": loopback,
                "secret_id_bound_cidrs": loopback,
            },
        ),
        ("userpass", "sys/auth/userpass", {"type": "userpass"}),
        ("admin_policy", "sys/policies/acl/admin", {"policy": ADMINISTRATOR_POLICY}),
        (
            "admin",
            "auth/userpass/users/admin",
            {"password": admin_password, "token_policies": ["admin"]},
        ),
    ]


def hcl(value):
    """A value in HCL: as in JSON, but members of an object are written `key = value`."""
    if isinstance(value, dict):
        members = ", ".join(f"{json.dumps(key)} = {hcl(item)}" for key, item in value.items())
        return "{ " + members + " }"
    return json.dumps(value)


def main():
    """Reads the two files and prints the block."""
    with open(sys.argv[1], encoding="utf-8") as file:
        admin_password = file.read().strip()
    with open(sys.argv[2], encoding="utf-8") as file:
        hub_policy = file.read()
    print('initialize "dev" {')
    for name, path, body in requests(admin_password, hub_policy):
        print(f'  request "{name}" {{')
        print('    operation = "update"')
        print(f'    path = "{path}"')
        print(f"    data = {hcl(body)}")
        print("  }")
    print("}")


main()
