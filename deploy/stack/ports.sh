# shellcheck shell=bash
# Which port each server listens on. A port is claimed for a stack by a symbolic link in the cache,
# so that two stacks that start at the same time do not choose the same one.

PORT_NAMES=(hub postgres openbao openbao_cluster oidc oidc_control ssh1 ssh2 s3 nats)
PORT_DEFAULTS=(8080 15432 18200 18201 9400 9401 20022 20023 19000 14222)
declare -A PORT=()

port_claim() {
  local port=$1 link=$CACHE/ports/$1 owner
  if ln -s "$STATE" "$link" 2>/dev/null; then return 0; fi
  owner=$(readlink "$link" || true)
  [[ $owner == "$STATE" ]] && return 0
  if [[ ! -e $owner/ports ]]; then
    ln -sfn "$STATE" "$link"
    return 0
  fi
  return 1
}

port_release_all() {
  local link
  for link in "$CACHE"/ports/*; do
    if [[ -L $link && $(readlink "$link") == "$STATE" ]]; then rm -f "$link"; fi
  done
}

# port_choose FIRST: the first port from FIRST on that nobody uses and no other stack has claimed.
# Stays below 32768, where outgoing connections get theirs.
port_choose() {
  local port
  for ((port = $1; port < 32768; port++)); do
    if [[ " ${PORT[*]} " != *" $port "* ]] && ! is_listening "$port" && port_claim "$port"; then
      printf '%s' "$port"
      return
    fi
  done
  die "no free port between $1 and 32767"
}

# port_wanted INDEX: the port that variables or defaults ask for.
port_wanted() {
  local name=${PORT_NAMES[$1]} variable
  variable=OPENPAM_DEV_PORT_${name^^}
  if [[ -n ${!variable:-} ]]; then
    printf '%s' "${!variable}"
  elif [[ -n ${OPENPAM_DEV_PORT_BASE:-} ]]; then
    printf '%s' $((OPENPAM_DEV_PORT_BASE + $1))
  else
    printf '%s' "${PORT_DEFAULTS[$1]}"
  fi
}

ports_load() {
  local name value
  [[ -e $STATE/ports ]] || return 0
  while read -r name value; do PORT[$name]=$value; done <"$STATE/ports"
}

# port_taker PORT: who has it, as far as that is known.
port_taker() {
  local owner
  owner=$(readlink "$CACHE/ports/$1" || true)
  if [[ -n $owner && $owner != "$STATE" && -e $owner/ports ]]; then
    printf 'the stack in %s' "$owner"
  else
    printf 'another program'
  fi
}

# port_take NAME PORT: gives PORT to NAME when nobody else has it.
port_take() {
  if [[ " ${PORT[*]} " == *" $2 "* ]] || is_listening "$2" || ! port_claim "$2"; then return 1; fi
  PORT[$1]=$2
}

# ports_assign: keeps the port of every server that runs, and of one that is down while its port is
# free; chooses another where something else has taken it. Whoever can have the port it wants gets it
# before others look for a replacement.
ports_assign() {
  local index name wanted known after=0 without=()
  mkdir -p "$CACHE/ports"
  ports_load
  [[ -e $STATE/ports ]] || : >"$STATE/ports"
  for index in "${!PORT_NAMES[@]}"; do
    name=${PORT_NAMES[$index]}
    known=${PORT[$name]:-}
    wanted=$(port_wanted "$index")
    if ((wanted >= after)); then after=$((wanted + 1)); fi
    if [[ -n $known ]] && process_alive "$(port_process "$name")"; then
      port_claim "$known" || true
      continue
    fi
    PORT[$name]=
    if [[ -n $known ]] && port_take "$name" "$known"; then continue; fi
    port_take "$name" "$wanted" || without+=("$name $wanted")
  done
  for name in "${without[@]}"; do
    wanted=${name#* }
    name=${name% *}
    # Beside its own default first; with one block of ports for all, behind the block.
    if [[ -n ${OPENPAM_DEV_PORT_BASE:-} ]]; then PORT[$name]=$(port_choose "$after"); else PORT[$name]=$(port_choose "$wanted"); fi
    say "port $wanted is taken by $(port_taker "$wanted"): $name uses ${PORT[$name]}"
  done
  for name in "${PORT_NAMES[@]}"; do printf '%s %s\n' "$name" "${PORT[$name]}"; done >"$STATE/ports.new"
  mv "$STATE/ports.new" "$STATE/ports"
}

# port_process NAME: the process that listens on the port of that name.
port_process() {
  case $1 in
    openbao_cluster) printf openbao ;;
    oidc | oidc_control) printf idp ;;
    ssh1) printf sshd1 ;;
    ssh2) printf sshd2 ;;
    *) printf '%s' "$1" ;;
  esac
}
