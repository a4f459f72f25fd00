#!/bin/sh
# Makes the database and its two roles, as docs/operations.md says, in a PostgreSQL that has just been made. The image runs
# it once, as the superuser.
set -eu
: "${SECRETS:?}" "${POSTGRES_USER:?}"

# Passwords go in over standard input, not on a command line.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
CREATE ROLE streamit_owner LOGIN PASSWORD '$(cat "$SECRETS/owner")';
CREATE ROLE streamit_app LOGIN PASSWORD '$(cat "$SECRETS/app")';
CREATE DATABASE streamit OWNER streamit_owner;
REVOKE ALL ON DATABASE streamit FROM PUBLIC;
GRANT CONNECT ON DATABASE streamit TO streamit_app;
SQL
