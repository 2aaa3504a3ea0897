#!/bin/sh
# Ledger and record, each with a role of its own that can't open the other. Runs once, on an empty data folder.
set -eu
for name in ledger audit; do
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set name="$name" \
        --set password="$(cat "/run/secrets/${name}_password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8';
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
