# SPDX-License-Identifier: BSD-2-Clause
# tap.sh: sourced by shell tests. Each case is one call of ok, or of skip:
#
#   ok COMMAND-STATUS NAME    0 passes
#   try NAME COMMAND...       runs it; its output is shown when it fails
#   skip NAME REASON
#   skip_all REASON           before any case: the whole file is skipped
#   done_testing              at the end
#   note TEXT...              a diagnostic line

tap_n=0
tap_failed=0

note() {
    printf '%s\n' "$*" | sed 's/^/# /'
}

ok() {
    tap_n=$((tap_n + 1))
    if [ "$1" -eq 0 ]; then
        printf 'ok %d - %s\n' "$tap_n" "$2"
    else
        tap_failed=$((tap_failed + 1))
        printf 'not ok %d - %s\n' "$tap_n" "$2"
    fi
}

try() {
    local name=$1 out rc
    shift
    out=$("$@" 2>&1)
    rc=$?
    ok $rc "$name"
    if [ $rc -ne 0 ]; then
        note "$* => $rc"
        printf '%s\n' "$out" | tail -n 80 | sed 's/^/#   /'
    fi
    return $rc
}

skip() {
    tap_n=$((tap_n + 1))
    printf 'ok %d - %s # SKIP %s\n' "$tap_n" "$1" "$2"
}

skip_all() {
    printf '1..0 # SKIP %s\n' "$*"
    exit 0
}

done_testing() {
    printf '1..%d\n' "$tap_n"
    [ "$tap_failed" -eq 0 ]
    exit $?
}
