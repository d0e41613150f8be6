# shellcheck shell=bash
# NATS with JetStream. The stack's own hub does not use it; tests start servers of their own with its binary, over
# TLS, which they can kill.

nats_ready() { is_listening "${PORT[nats]}"; }

nats_up() {
  if process_alive nats; then return; fi
  mkdir -p "$STATE/nats"
  write_if_changed "$STATE/nats/nats.conf" <<CONF || true
listen: "127.0.0.1:${PORT[nats]}"
jetstream { store_dir: "$STATE/nats/jetstream", max_mem: 64M, max_file: 1G }
CONF
  process_start nats "$NATS" --config "$STATE/nats/nats.conf"
  process_ready nats 20 nats_ready
}

nats_down() { process_stop nats; }
