"""Fills the hub with demo data through its own API. Harmless to repeat: things are found by name.

Arguments: the output of `status --json`, the hub's folder, the folder with the secrets.
Writes targets.json into the hub's folder, for `status`.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

from api import Api, Problem


class Seed:
    """What is there already, and how to add what is missing."""

    def __init__(self, facts, hub_dir, secrets_dir):
        self.facts = facts
        self.hub_dir = Path(hub_dir)
        self.secrets_dir = Path(secrets_dir)
        self.api = Api(facts["url"])
        self.api.sign_in("admin", self.secret("user_admin"))

    def secret(self, name):
        return (self.secrets_dir / name).read_text().strip()

    def ensure(self, path, wanted, key="name", create_only=None):
        """The thing whose `key` is as wanted; created, or changed where it differs."""
        found = next((item for item in self.api.list(path) if item[key] == wanted[key]), None)
        if found is None:
            return self.api.call("POST", path, {**wanted, **(create_only or {})})
        differing = {name: value for name, value in wanted.items() if not same(found.get(name), value)}
        if differing:
            return self.api.call("PATCH", f"{path}/{found['id']}", differing)
        return found

    def ensure_credential(self, wanted, secret):
        """A credential whose secret goes through the hub into the vault; again when it changed."""
        stamp_file = self.hub_dir / "seeded_secrets.json"
        stamps = json.loads(stamp_file.read_text()) if stamp_file.exists() else {}
        stamp = hashlib.sha256(json.dumps(secret, sort_keys=True).encode()).hexdigest()
        existed = any(item["name"] == wanted["name"] for item in self.api.list("/admin/credentials"))
        credential = self.ensure("/admin/credentials", wanted, create_only={"secret": secret})
        if existed and stamps.get(credential["id"]) != stamp:
            self.api.call("PUT", f"/admin/credentials/{credential['id']}/secret", {"secret": secret})
        if stamps.get(credential["id"]) != stamp:
            stamps[credential["id"]] = stamp
            write_private(stamp_file, stamps)
        return credential

    def groups(self):
        """The local group and those of the directory, by name."""
        ids = self.facts["servers"]["oidc"]["groups"]
        engineers = self.ensure(
            "/admin/groups",
            {"name": "engineers", "description": "People who work on the demo machines", "source": "local"},
        )
        directory = [
            self.ensure(
                "/admin/groups",
                {
                    "name": f"Directory {name}",
                    "description": f"The group “{name}” of the directory",
                    "source": "oidc",
                    "external_id": group_id,
                },
            )
            for name, group_id in ids.items()
        ]
        return engineers, {name: group for name, group in zip(ids, directory)}

    def users(self, engineers):
        for name, roles in (("operator", ["operator"]), ("auditor", ["auditor"]), ("user", [])):
            self.ensure(
                "/admin/users",
                {"username": name, "display_name": f"Demo {name}", "roles": roles},
                key="username",
                create_only={"password": self.secret(f"user_{name}")},
            )
        members = {user["id"] for user in self.api.list(f"/admin/groups/{engineers['id']}/members")}
        for user in self.api.list("/admin/users"):
            if user["source"] == "local" and user["id"] not in members and user["username"] in ("admin", "operator", "auditor", "user"):
                self.api.call("PUT", f"/admin/groups/{engineers['id']}/members/{user['id']}")

    def trust_host_keys(self, target):
        """What an administrator does with “scan and trust”, for keys that are not trusted yet."""
        scan = self.api.call("POST", f"/admin/targets/{target['id']}/scan")
        for key in scan["keys"]:
            if not key["trusted"]:
                self.api.call(
                    "POST",
                    f"/admin/targets/{target['id']}/host-keys",
                    {"public_key": key["public_key"], "kind": "host"},
                )

    def run(self):
        password_server, certificate_server = self.facts["servers"]["ssh"]
        zone = self.ensure("/admin/zones", {"name": "hub", "type": "hub"})
        engineers, directory = self.groups()
        self.users(engineers)

        password = self.ensure_credential(
            {"name": "demo password", "kind": "password", "username": password_server["username"]},
            {"password": self.secret("ssh_password")},
        )
        key = self.ensure_credential(
            {"name": "demo key", "kind": "private_key", "username": password_server["username"]},
            {"private_key": Path(password_server["private_keys"]["ed25519"]).read_text()},
        )
        certificate = self.ensure(
            "/admin/credentials",
            {
                "name": "demo certificate",
                "kind": "ssh_ca",
                "username": certificate_server["username"],
                "ssh_role": self.facts["servers"]["openbao"]["ssh_role"],
            },
        )
        common = {
            "protocol": "ssh",
            "zone_id": zone["id"],
            "group_ids": [engineers["id"], directory["engineers"]["id"]],
            "enabled": True,
        }
        targets = [
            (
                {
                    **common,
                    "name": "build-01",
                    "description": "Build machine: password or key",
                    "host": password_server["host"],
                    "port": password_server["port"],
                    "environment": "development",
                    "tags": ["linux", "build"],
                    "credential_ids": [password["id"], key["id"]],
                },
                password,
            ),
            (
                {
                    **common,
                    "name": "db-01",
                    "description": "Database machine: short-lived certificates only",
                    "host": certificate_server["host"],
                    "port": certificate_server["port"],
                    "environment": "production",
                    "tags": ["linux", "database"],
                    "credential_ids": [certificate["id"]],
                },
                certificate,
            ),
        ]
        seeded = []
        for wanted, credential in targets:
            # Who may connect is the administrator's from then on; an address of this stack may change.
            address = {name: wanted[name] for name in ("name", "host", "port")}
            rest = {name: value for name, value in wanted.items() if name not in address}
            target = self.ensure("/admin/targets", address, create_only=rest)
            if not target.get("host_keys"):
                self.trust_host_keys(target)
            seeded.append(
                {
                    "id": target["id"],
                    "name": target["name"],
                    "protocol": target["protocol"],
                    "zone": zone["name"],
                    "credential_id": credential["id"],
                    "credential_ids": wanted["credential_ids"],
                }
            )
        write_private(self.hub_dir / "targets.json", seeded)
        self.api.call("POST", "/auth/logout")


def same(found, wanted):
    """Whether two values say the same; the order of a list of ids or tags does not matter."""
    if isinstance(found, list) and isinstance(wanted, list):
        return sorted(map(str, found)) == sorted(map(str, wanted))
    return found == wanted


def write_private(file, value):
    """Writes JSON with mode 0600, in one step."""
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as output:
        json.dump(value, output, indent=2)
    new.rename(file)


def main():
    """Seeds the hub; a refusal of the hub is printed as one line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = json.load(file)
    try:
        Seed(facts, sys.argv[2], sys.argv[3]).run()
    except (Problem, OSError) as error:
        sys.exit(f"deploy/dev: error: the demo data could not be set up: {error}")


main()
