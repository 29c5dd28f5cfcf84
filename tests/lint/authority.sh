#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: policy/AUTHORITY.md is what the policy says. Who changes the policy commits the table
# with it, so that what somebody may do from then on is seen in the diff.
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
cd "${top_builddir:-.}" || exit 1

as_rendered() {
    policy/authority "$top/policy/syscalls.conf" "$top/policy/accounts.conf" |
        diff -u "$top/policy/AUTHORITY.md" - || { echo "run: make authority"; return 1; }
}
try "authority: the committed table is up to date" as_rendered
done_testing
