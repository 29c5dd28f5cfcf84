#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# clang-tidy over what is installed (tests have the sanitizers): tidy.sh TOP CLANG-TIDY CPPFLAGS.
# Silent and 0 when clean.
set -eu
top=$1 tidy=$2 flags=$3
command -v "${tidy:-clang-tidy}" >/dev/null || { echo "no clang-tidy" >&2; exit 1; }
build=$(pwd)
cd "$top"
if git rev-parse --git-dir >/dev/null 2>&1; then
    list() { git ls-files 'lib/*.c' 'ipc/*.c' 'domains/*.c' 'policy/*.c' 'bench/*.c'; }
else
    list() { find lib ipc domains policy bench -name '*.c'; }
fi
# The flags come with the build directory's relative paths: run there. The XDP program is not
# for this machine.
cd "$build"
(cd "$top" && list) | grep -Ev "(^|/)xdp_[a-z]*\.c$" | while read -r f; do echo "$top/$f"; done |
    xargs -P "$(nproc)" -n 4 sh -c '
        tidy=$1 flags=$2; shift 2
        "$tidy" --quiet "$@" -- \
            -std=gnu17 -D_GNU_SOURCE $flags 2>/dev/null' _ "$tidy" "$flags"
