# shellcheck shell=bash
# The object store: moto's S3, with conditional writes, versions and object lock. It keeps everything in
# memory and does not check signatures. Recordings of the stack's own hub are in a folder; tests use this.

S3_BUCKETS=(openpam-recordings openpam-recordings-locked)

s3_endpoint() { printf 'http://127.0.0.1:%s' "${PORT[s3]}"; }

# s3_put_bucket NAME [HEADER]: makes a bucket; one that is there is fine.
s3_put_bucket() {
  curl -sS --max-time 10 -o /dev/null -X PUT ${2:+-H "$2"} --user openpam:openpam \
    --aws-sigv4 aws:amz:us-east-1:s3 "$(s3_endpoint)/$1"
}

s3_ready() { curl -sf --max-time 2 "$(s3_endpoint)/moto-api/data.json"; }

s3_up() {
  if ! process_alive s3; then
    process_start s3 "$MOTO" -H 127.0.0.1 -p "${PORT[s3]}"
    process_ready s3 60 s3_ready
  fi
  s3_put_bucket "${S3_BUCKETS[0]}"
  s3_put_bucket "${S3_BUCKETS[1]}" 'x-amz-bucket-object-lock-enabled: true'
}

s3_down() { process_stop s3; }
