#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Patroni calls it once, with the new cluster's address, before there is a standby (post_bootstrap in patroni.yml). Install as
# /etc/patroni/create-database.sh. Its failure undoes the cluster.
set -eu
: "${ECSD_DATABASE_PASSWORD:?is not set: see patroni.env}"
# Nobody waits for a standby that is not there yet. ecsd wants texts sorted by bytes, and refuses a database that sorts otherwise.
export PGOPTIONS='-c synchronous_commit=local'
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$1" <<'SQL'
\getenv password ECSD_DATABASE_PASSWORD
CREATE ROLE ecsd LOGIN PASSWORD :'password';
CREATE DATABASE ecsd OWNER ecsd TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
SQL
