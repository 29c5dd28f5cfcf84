#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: nothing in the tree names the machine it was written on, and nothing calls itself
# unfinished.
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
cd "$top" || exit 1
git rev-parse --git-dir >/dev/null 2>&1 || skip_all "not a git checkout"

none() { # pattern, path...
    local pattern=$1
    shift
    ! git grep -nIE "$pattern" -- "$@"
}
here=$(printf '%s' "$top" | sed 's/[][\.*^$/+?(){}|]/\\&/g')
try "words: no path of this checkout" none "$here/" .
try "words: no home directories" none '/(home|Users)/[a-z]+/' .
try "words: nothing unfinished" none '\<(TODO|FIXME|X{3}|HACK)\>' \
    '*.c' '*.h' '*.am' '*.ac' '*.mk' '*.md' '*.sh' ':!tests/lint/words.sh'
missing=$(git ls-files '*.c' '*.h' '*.sh' '*.py' | while read -r f; do
    [ -f "$f" ] && ! head -n 4 "$f" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' && echo "$f"
done)
ok "$([ -z "$missing" ]; echo $?)" "words: every source names its licence"
[ -z "$missing" ] || note "$missing"
done_testing
