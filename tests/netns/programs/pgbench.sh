#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# pgbench.sh HOST PORT SECONDS: fills the tables, then eight clients.
set -e
export PGUSER=postgres PGHOST="$1" PGPORT="$2"
pgbench -q -i -s 2 postgres
exec pgbench -n -c 8 -j 2 -T "$3" postgres
