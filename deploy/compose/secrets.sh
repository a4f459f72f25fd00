#!/bin/sh
# Makes what must be secret, once, and gives each service what it may know and nothing else: a directory for each under
# SECRETS, its files readable by that service's user alone. What is there already stays. Nothing is printed.
# Needs no more than a shell and the tools of busybox.
set -eu
umask 077

: "${SECRETS:?}" "${DATABASE_ADDRESS:?}" "${REDIS_ADDRESS:?}"
# user:group of our programs, of PostgreSQL and of Redis in their images.
programs=10001:10001 postgres=70:70 redis=999:1000

token() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# An Ed25519 key as `openssl genpkey -algorithm ed25519` writes it: a fixed head, and 32 bytes by chance.
signing_key() {
    echo '-----BEGIN PRIVATE KEY-----'
    { printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040' && head -c 32 /dev/urandom; } | base64
    echo '-----END PRIVATE KEY-----'
}

# put FILE OWNER: what comes in becomes that file, whole or not at all, and the directory is the owner's, too.
put() {
    mkdir -p "$(dirname "$SECRETS/$1")"
    cat >"$SECRETS/$1.new"
    chown "$2" "$SECRETS/$1.new" "$(dirname "$SECRETS/$1")"
    mv "$SECRETS/$1.new" "$SECRETS/$1"
}

# A job that was interrupted begins again: this is written last.
done=$SECRETS/owner/done
if [ -e "$done" ]; then
    echo "the secrets are there already"
    exit
fi

superuser=$(token) owner=$(token) app=$(token) grpc=$(token) store=$(token)

printf '%s\n' "$superuser" | put postgres/superuser "$postgres"
printf '%s\n' "$owner" | put postgres/owner "$postgres"
printf '%s\n' "$app" | put postgres/app "$postgres"
printf 'requirepass %s\n' "$store" | put redis/redis.conf "$redis"

printf 'postgres://streamit_owner:%s@%s/streamit\n' "$owner" "$DATABASE_ADDRESS" | put owner/database-url "$programs"
printf '%s\n' "$owner" | put owner/password "$programs"

printf 'postgres://streamit_app:%s@%s/streamit\n' "$app" "$DATABASE_ADDRESS" | put api/database-url "$programs"
printf 'redis://:%s@%s\n' "$store" "$REDIS_ADDRESS" | put api/redis-url "$programs"
printf '%s\n' "$grpc" | put api/grpc-token "$programs"
signing_key | put api/keys/k1.pem "$programs"
chown "$programs" "$SECRETS/api"

printf 'redis://:%s@%s\n' "$store" "$REDIS_ADDRESS" | put realtime/redis-url "$programs"
printf '%s\n' "$grpc" | put realtime/grpc-token "$programs"

: >"$done"
echo "made the secrets"
