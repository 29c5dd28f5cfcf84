# SPDX-License-Identifier: BSD-2-Clause
# od -An -v -tx1 -> a C array of the variable `name`, aligned as ELF wants it.
BEGIN {
    print "#include <stddef.h>\n"
    print "extern const unsigned char " name "[];"
    print "extern const size_t " name "_size;"
    print "_Alignas(16) const unsigned char " name "[] = {"
}
{
    for (i = 1; i <= NF; i++)
        printf "0x%s,%s", $i, i == NF ? "\n" : ""
    n += NF
}
END { print "};\nconst size_t " name "_size = " n ";" }
