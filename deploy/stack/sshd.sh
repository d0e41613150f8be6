# shellcheck shell=bash
# Two SSH targets, each an sshd of its own.
#   sshd1: password, keyboard-interactive and public keys, for the unix user openpam-demo
#   sshd2: certificates of the vault's CA only, for the unix user openpam-ca; its host key is also
#          certified by a host CA
# They need root: sshd changes to the user that signs in, and the users must exist on this machine.

SSH_USER_PASSWORD=openpam-demo
SSH_USER_CA=openpam-ca
# Users belong to the machine, not to a stack: several stacks must agree on the password.
SSH_MACHINE_DIR=/var/lib/openpam-dev

sshd_make_users() {
  local user
  for user in "$SSH_USER_PASSWORD" "$SSH_USER_CA"; do
    if ! id -u "$user" >/dev/null 2>&1; then
      step "Creating the unix user $user"
      as_root "create the unix users of the SSH targets" useradd --create-home --shell /bin/bash \
        --comment 'OpenPAM development target' "$user"
      # Keys and certificates only, but not locked: sshd refuses locked accounts.
      as_root "create the unix users of the SSH targets" usermod -p '*' "$user"
      as_root "create the unix users of the SSH targets" rm -f "$SSH_MACHINE_DIR/$user.password"
    fi
  done
  if ! as_root "read the password of $SSH_USER_PASSWORD" test -s "$SSH_MACHINE_DIR/$SSH_USER_PASSWORD.password"; then
    as_root "set the password of $SSH_USER_PASSWORD" install -d -m 0700 "$SSH_MACHINE_DIR"
    local password
    password=$(random_hex 12)
    printf '%s:%s\n' "$SSH_USER_PASSWORD" "$password" |
      as_root "set the password of $SSH_USER_PASSWORD" chpasswd
    printf '%s' "$password" |
      as_root "keep the password of $SSH_USER_PASSWORD" \
        install -m 0600 /dev/stdin "$SSH_MACHINE_DIR/$SSH_USER_PASSWORD.password"
  fi
  as_root "read the password of $SSH_USER_PASSWORD" cat "$SSH_MACHINE_DIR/$SSH_USER_PASSWORD.password" |
    write_private "$STATE/secrets/ssh_password"
}

# sshd_key FILE TYPE [OPTIONS…]
sshd_key() {
  local file=$1 type=$2
  shift 2
  [[ -e $file ]] || ssh-keygen -q -t "$type" -N '' -C "openpam-dev $(basename "$file")" -f "$file" "$@"
}

sshd_make_keys() {
  local folder=$STATE/ssh target
  mkdir -p "$folder/client" "$folder/host_ca" "$folder/target1/keys" "$folder/target2/principals"
  chmod 0700 "$folder/client" "$folder/host_ca"
  sshd_key "$folder/client/id_ed25519" ed25519
  sshd_key "$folder/client/id_ecdsa" ecdsa -b 256
  sshd_key "$folder/client/id_rsa" rsa -b 3072
  make_secret "$STATE/secrets/ssh_key_passphrase"
  if [[ ! -e $folder/client/id_ed25519_encrypted ]]; then
    # The passphrase is asked for through a helper, so that it is in no argument list.
    printf '#!/bin/sh\ncat "%s"\n' "$STATE/secrets/ssh_key_passphrase" >"$folder/client/askpass"
    chmod 0700 "$folder/client/askpass"
    SSH_ASKPASS=$folder/client/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=none \
      setsid -w ssh-keygen -q -t ed25519 -C 'openpam-dev id_ed25519_encrypted' -f "$folder/client/id_ed25519_encrypted" </dev/null
  fi
  cat "$folder"/client/*.pub >"$folder/target1/keys/$SSH_USER_PASSWORD"
  for target in target1 target2; do
    sshd_key "$folder/$target/host_ed25519" ed25519
    sshd_key "$folder/$target/host_ecdsa" ecdsa -b 256
    sshd_key "$folder/$target/host_rsa" rsa -b 3072
  done
  sshd_key "$folder/host_ca/host_ca" ed25519
  if [[ ! -e $folder/target2/host_ed25519-cert.pub ]]; then
    ssh-keygen -q -s "$folder/host_ca/host_ca" -I 'openpam-dev target2' -h -n 127.0.0.1,localhost \
      "$folder/target2/host_ed25519.pub"
  fi
  printf '%s\n' "$SSH_USER_CA" >"$folder/target2/principals/$SSH_USER_CA"
  if [[ ! -s $folder/target2/user_ca.pub ]]; then
    openbao_ssh_ca >"$folder/target2/user_ca.pub.new"
    mv "$folder/target2/user_ca.pub.new" "$folder/target2/user_ca.pub"
  fi
  chmod 0711 "$folder" "$folder"/target?
  chmod 0755 "$folder/target1/keys" "$folder/target2/principals"
  chmod 0644 "$folder"/target1/keys/* "$folder"/target2/principals/* "$folder"/target2/user_ca.pub
}

# sshd_common TARGET PORT: what both configurations share.
sshd_common() {
  cat <<CONF
ListenAddress 127.0.0.1:$2
HostKey $STATE/ssh/$1/host_ed25519
HostKey $STATE/ssh/$1/host_ecdsa
HostKey $STATE/ssh/$1/host_rsa
PidFile none
# The folders above belong to whoever started the stack.
StrictModes no
PermitRootLogin no
MaxStartups 400:30:800
MaxSessions 200
LoginGraceTime 60
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding yes
AllowAgentForwarding yes
AcceptEnv LANG LC_*
LogLevel VERBOSE
Subsystem sftp internal-sftp
CONF
}

sshd_configs() {
  {
    sshd_common target1 "${PORT[ssh1]}"
    # Keyboard-interactive exists only through PAM.
    cat <<CONF
UsePAM yes
AllowUsers $SSH_USER_PASSWORD
PasswordAuthentication yes
KbdInteractiveAuthentication yes
PubkeyAuthentication yes
AuthorizedKeysFile $STATE/ssh/target1/keys/%u
CONF
  } >"$STATE/ssh/target1/sshd_config"
  {
    sshd_common target2 "${PORT[ssh2]}"
    cat <<CONF
UsePAM no
AllowUsers $SSH_USER_CA
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile none
TrustedUserCAKeys $STATE/ssh/target2/user_ca.pub
AuthorizedPrincipalsFile $STATE/ssh/target2/principals/%u
HostCertificate $STATE/ssh/target2/host_ed25519-cert.pub
CONF
  } >"$STATE/ssh/target2/sshd_config"
}

sshd_up() {
  local number
  if process_alive sshd1 && process_alive sshd2; then return; fi
  sshd_make_users
  sshd_make_keys
  sshd_configs
  # sshd wants its privilege separation folder, which a package's service would have made.
  [[ -d /run/sshd ]] || as_root "create /run/sshd" install -d -m 0755 /run/sshd
  for number in 1 2; do
    process_alive "sshd$number" && continue
    if ((EUID == 0)); then
      process_start "sshd$number" /usr/sbin/sshd -D -e -f "$STATE/ssh/target$number/sshd_config"
    else
      as_root "start the SSH targets" true
      process_start "sshd$number" sudo -n /usr/sbin/sshd -D -e -f "$STATE/ssh/target$number/sshd_config"
    fi
    process_ready "sshd$number" 15 is_listening "${PORT[ssh$number]}"
  done
}

sshd_down() {
  process_stop sshd1
  process_stop sshd2
}
