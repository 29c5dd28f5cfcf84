#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: one way of laying out C in the whole tree (.clang-format).
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
cf=${CLANG_FORMAT:-clang-format}
command -v "$cf" >/dev/null || skip_all "no clang-format"

cd "$top" || exit 1
if git rev-parse --git-dir >/dev/null 2>&1; then
    mapfile -t files < <(git ls-files '*.c' '*.h' | while read -r f; do
        [ ! -f "$f" ] || echo "$f"
    done)
else
    mapfile -t files < <(find lib ipc domains policy tests bench -name '*.[ch]' | sort)
fi
[ ${#files[@]} -gt 0 ] || skip_all "no C files here"
try "format: every C file is as clang-format leaves it" \
    "$cf" --style=file --dry-run -Werror "${files[@]}"
done_testing
