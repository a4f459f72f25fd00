#!/bin/sh
# Gives the apis' role its rights, as the owner of the tables, after each migration: a release may bring tables.
# Where PostgreSQL is, psql reads in PGHOST, PGPORT, PGUSER and PGDATABASE.
set -eu
: "${PASSWORD_FILE:?}" "${GRANTS:?}"

PGPASSWORD=$(cat "$PASSWORD_FILE")
export PGPASSWORD
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file "$GRANTS"
echo "the rights are those of this release"
