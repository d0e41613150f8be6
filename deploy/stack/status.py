"""Prints what runs where and how to sign in, as text or as the JSON object of the contract.

Arguments: text or json, the state folder, the description of the directory.
Environment: OPENPAM_RUNNING (name=pid …), OPENPAM_CACHE, OPENPAM_TARGET_DIR.
"""

import json
import os
import sys
from pathlib import Path

LOCAL_USERS = [("admin", "admin"), ("operator", "operator"), ("auditor", "auditor"), ("user", "user")]
ROLE_ORDER = ["admins", "operators", "auditors"]


class Stack:
    """The state folder of one stack."""

    def __init__(self, state, directory_file):
        self.state = Path(state)
        self.directory = json.loads(Path(directory_file).read_text())
        self.port = dict(line.split() for line in self.path("ports").read_text().splitlines())
        self.running = dict(
            entry.split("=") for entry in os.environ.get("OPENPAM_RUNNING", "").split()
        )

    def path(self, *parts):
        return self.state.joinpath(*parts)

    def secret(self, *parts):
        """The content of a file, or None while it does not exist."""
        file = self.path(*parts)
        return file.read_text().strip() if file.exists() else None

    def read_json(self, *parts, default):
        file = self.path(*parts)
        return json.loads(file.read_text()) if file.exists() else default


def oidc_role(groups):
    """The strongest role that the groups of a directory user give."""
    for name in ROLE_ORDER:
        if name in groups:
            return name.removesuffix("s")
    return "user"


def users(stack):
    result = []
    for name, role in LOCAL_USERS:
        password = stack.secret("secrets", f"user_{name}")
        if password:
            result.append({"username": name, "password": password, "role": role, "login": "local"})
    passwords = stack.read_json("idp", "passwords.json", default={})
    for user in stack.directory["users"]:
        # With an overage there are no groups in the token, so no role comes from them.
        role = "user" if user.get("claim") == "overage" else oidc_role(user["groups"])
        result.append(
            {
                "username": user["username"],
                "password": passwords.get(user["username"]),
                "role": role,
                "login": "oidc",
                "groups": [stack.directory["groups"][name] for name in user["groups"]],
            }
        )
    return result


def process(stack, name):
    pid = stack.running.get(name)
    return {"running": pid is not None, "pid": int(pid) if pid else None, "log": str(stack.path("logs", f"{name}.log"))}


def postgres(stack):
    def url(role, database):
        return f"postgres://{role}:{stack.secret('secrets', f'postgres_{role}')}@127.0.0.1:{stack.port['postgres']}/{database}"

    return {
        **process(stack, "postgres"),
        "host": "127.0.0.1",
        "port": int(stack.port["postgres"]),
        "database": "openpam",
        "owner_role": "openpam_owner",
        "owner_url": url("openpam_owner", "openpam"),
        "owner_password_file": str(stack.path("secrets", "postgres_openpam_owner")),
        "app_role": "openpam_app",
        "app_url": url("openpam_app", "openpam"),
        "app_password_file": str(stack.path("secrets", "postgres_openpam_app")),
        "ledger_role": "openpam_ledger",
        "ledger_url": url("openpam_ledger", "openpam"),
        "ledger_password_file": str(stack.path("secrets", "postgres_openpam_ledger")),
        "superuser": {"user": "postgres", "socket": str(stack.path("postgres"))},
    }


def openbao(stack):
    return {
        **process(stack, "openbao"),
        "address": f"http://127.0.0.1:{stack.port['openbao']}",
        "admin_token": stack.secret("secrets", "openbao_admin_token"),
        "admin_token_file": str(stack.path("secrets", "openbao_admin_token")),
        "approle_mount": "approle",
        "approle_role": "openpam",
        "kv_mount": "kv",
        "kv_prefix": "openpam",
        "ssh_mount": "ssh",
        "ssh_role": "openpam",
        "config_file": str(stack.path("openbao", "config.hcl")),
        "audit_log": str(stack.path("logs", "openbao-audit.log")),
    }


def oidc(stack):
    tenant = stack.directory["tenant_id"]
    return {
        **process(stack, "idp"),
        "issuer": f"http://127.0.0.1:{stack.port['oidc']}/{tenant}/v2.0",
        "tenant_id": tenant,
        "client_id": stack.directory["client_id"],
        "client_secret_file": str(stack.path("idp", "client_secret")),
        "groups": stack.directory["groups"],
        "control_url": f"http://127.0.0.1:{stack.port['oidc_control']}",
        "control_token_file": str(stack.path("idp", "control_token")),
    }


def s3(stack):
    return {
        **process(stack, "s3"),
        "endpoint": f"http://127.0.0.1:{stack.port.get('s3')}",
        "region": "us-east-1",
        "access_key_id": "openpam",
        "secret_access_key": "openpam",
        "bucket": "openpam-recordings",
        "locked_bucket": "openpam-recordings-locked",
    }


def nats(stack):
    return {**process(stack, "nats"), "url": f"nats://127.0.0.1:{stack.port.get('nats')}"}


def ssh(stack):
    client = stack.path("ssh", "client")
    keys = {kind: str(client / f"id_{kind}") for kind in ("ed25519", "ecdsa", "rsa", "ed25519_encrypted")}
    common = {"host": "127.0.0.1"}

    def host_keys(target):
        return {kind: str(stack.path("ssh", target, f"host_{kind}.pub")) for kind in ("ed25519", "ecdsa", "rsa")}

    return [
        {
            **common,
            **process(stack, "sshd1"),
            "name": "target1",
            "port": int(stack.port["ssh1"]),
            "username": "openpam-demo",
            "authentication": ["password", "keyboard-interactive", "publickey"],
            "password_file": str(stack.path("secrets", "ssh_password")),
            "private_keys": keys,
            "passphrase_file": str(stack.path("secrets", "ssh_key_passphrase")),
            "host_keys": host_keys("target1"),
            "config_file": str(stack.path("ssh", "target1", "sshd_config")),
        },
        {
            **common,
            **process(stack, "sshd2"),
            "name": "target2",
            "port": int(stack.port["ssh2"]),
            "username": "openpam-ca",
            "authentication": ["certificate"],
            "principals": ["openpam-ca"],
            "user_ca_file": str(stack.path("ssh", "target2", "user_ca.pub")),
            "host_ca_file": str(stack.path("ssh", "host_ca", "host_ca.pub")),
            "host_keys": host_keys("target2"),
            "config_file": str(stack.path("ssh", "target2", "sshd_config")),
        },
    ]


def status(stack):
    """The object that `deploy/dev status --json` prints."""
    return {
        "url": f"http://127.0.0.1:{stack.port['hub']}",
        "tenant": "dev",
        "users": users(stack),
        "targets": stack.read_json("hub", "targets.json", default=[]),
        "servers": {
            "hub": {
                **process(stack, "hub"),
                "config_file": str(stack.path("hub", "hub.toml")),
                "binary": str(stack.path("hub", "openpam")),
            },
            "postgres": postgres(stack),
            "openbao": openbao(stack),
            "oidc": oidc(stack),
            "ssh": ssh(stack),
            "s3": s3(stack),
            "nats": nats(stack),
        },
        "dirs": {
            "state": str(stack.state),
            "logs": str(stack.path("logs")),
            "secrets": str(stack.path("secrets")),
            "cache": os.environ.get("OPENPAM_CACHE"),
            "target": os.environ.get("OPENPAM_TARGET_DIR"),
        },
    }


def print_text(facts):
    servers = facts["servers"]
    rows = [
        ("hub", servers["hub"], facts["url"]),
        ("postgres", servers["postgres"], f"127.0.0.1:{servers['postgres']['port']} (superuser: psql -h {servers['postgres']['superuser']['socket']} -p {servers['postgres']['port']} -U postgres)"),
        ("openbao", servers["openbao"], servers["openbao"]["address"]),
        ("oidc", servers["oidc"], servers["oidc"]["issuer"]),
    ]
    rows.append(("s3", servers["s3"], servers["s3"]["endpoint"]))
    rows.append(("nats", servers["nats"], servers["nats"]["url"]))
    for server in servers["ssh"]:
        rows.append((server["name"], server, f"{server['username']}@127.0.0.1:{server['port']} ({', '.join(server['authentication'])})"))
    for name, server, where in rows:
        print(f"{name:<10}{'running' if server['running'] else 'down':<9}{where}")
    print(f"state     {facts['dirs']['state']}")
    print("\nSign in at", facts["url"])
    for user in facts["users"]:
        how = "user name and password" if user["login"] == "local" else "through the provider"
        print(f"  {user['username']:<10}{user['password'] or '':<34}{user['role']:<10}{how}")


def main():
    """Reads the state and prints it in the format asked for."""
    facts = status(Stack(sys.argv[2], sys.argv[3]))
    if sys.argv[1] == "json":
        json.dump(facts, sys.stdout, indent=2)
        print()
    else:
        print_text(facts)


try:
    main()
except BrokenPipeError:
    # Whoever read the output has seen enough.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
