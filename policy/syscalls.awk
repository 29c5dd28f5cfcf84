# SPDX-License-Identifier: BSD-2-Clause
# syscalls.conf -> a C table for domains/confine.c. Refuses what it does not understand.
BEGIN {
    n_dom = split("nic ip tcp udp mono", dom, " ")
    for (i = 1; i <= n_dom; i++)
        known[dom[i]] = 1
    rule[""] = "POLICY_ANY"
    n_rule = split("wait monotonic control bell kick packet window size seals watch client end", r, " ")
    for (i = 1; i <= n_rule; i++)
        rule[r[i]] = "POLICY_" toupper(r[i])
}
function bad(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
    failed = 1
    exit 1
}
{ sub(/#.*/, "") }
NF == 0 { next }
$1 != "all" && !($1 in known) { bad("no domain of that name: " $1) }
$2 == "fds" {
    if (NF != 3 || $3 !~ /^[0-9]+$/ || $1 == "all" || ($1 in fds))
        bad("want once: DOMAIN fds NUMBER")
    fds[$1] = $3
    next
}
NF < 2 || NF > 3 || $2 !~ /^[a-z0-9_]+$/ || !($3 in rule) { bad("want: DOMAIN CALL [RULE]") }
{
    for (i = 1; i <= n_dom; i++)
        if ($1 == "all" || $1 == dom[i]) {
            if ((dom[i], $2) in seen)
                bad("named twice: " $2)
            seen[dom[i], $2] = 1
            calls[dom[i]] = calls[dom[i]] "    {\"" $2 "\", " rule[$3] "},\n"
            count[dom[i]]++
        }
}
END {
    if (failed)
        exit 1
    print "/* Made by policy/syscalls.awk from policy/syscalls.conf. */"
    print "#include \"domains/confine.h\"\n\n#include <string.h>\n"
    for (i = 1; i <= n_dom; i++)
        printf "static const struct policy_call %s_calls[] = {\n%s};\n\n", dom[i], calls[dom[i]]
    print "static const struct policy policies[] = {"
    for (i = 1; i <= n_dom; i++) {
        if (!(dom[i] in fds)) {
            printf "%s: no fds for %s\n", FILENAME, dom[i] > "/dev/stderr"
            exit 1
        }
        printf "    {\"%s\", %d, %d, %s_calls},\n", dom[i], fds[dom[i]], count[dom[i]], dom[i]
    }
    print "};\n"
    print "const struct policy *\npolicy_of(const char *domain)\n{"
    print "    for (unsigned i = 0; i < sizeof policies / sizeof policies[0]; i++)"
    print "        if (strcmp(policies[i].domain, domain) == 0)"
    print "            return &policies[i];\n    return NULL;\n}"
}
