#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# clauses.sh RUN_PURE: prints CLAUSES.md: which clause is held by which script, and how things
# stand. What the scripts say comes from their own heads, the rest from clauses-other.txt.
# tests/lint/clauses.sh compares.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$1
tab=$'\t'
rows() {
    "$run" --clauses "$here"/scripts/*.pkt
    grep -v '^#' "$here/clauses-other.txt"
}
cat <<'END'
# Clauses of the RFCs, and what tests them

Made by `tests/packet/clauses.sh` from the heads of the scripts and from `clauses-other.txt`; a lint
test keeps it so. In quotes: the RFC's words. Without: its sense. *holds*: the test passes and must.
*todo*: the test is there and fails, for the reason given; when it passes, its `todo` line has to go.
*differs*: deliberately not as the RFC says. *not covered*: nothing tests it.

END
rows | sort -t "$tab" -k1,1 -k2,2V -k4,4 | awk -F '\t' '
    function title(n) {
        return n == "ours" ? "Beyond the RFCs" : "RFC " n
    }
    { gsub(/\|/, "\\|"); gsub(/</, "\\&lt;"); gsub(/\*/, "\\*") }
    { if ($5 ~ /^holds/) holds++; else if ($5 ~ /^todo/) todo++; else other++ }
    {
        line[NR] = $0
    }
    END {
        printf "%d hold, %d todo, %d differ or are not covered.\n", holds, todo, other
        for (i = 1; i <= NR; i++) {
            split(line[i], f, "\t")
            if (f[1] != last)
                printf "\n## %s\n\n| section | clause | test | status |\n|---|---|---|---|\n", title(f[1])
            last = f[1]
            test = f[4] == "-" ? "" : "`" f[4] "`"
            printf "| %s | %s | %s | %s |\n", f[2], f[3], test, f[5]
        }
    }'
