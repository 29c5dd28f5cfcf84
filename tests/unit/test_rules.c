/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules by which sockets of unchanged programs are the kernel's or Bulkhead's: what is
 * taken, what is refused and where, and which line decides.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "preload/rules.h"

static struct rules rules;
static char err[256];

static bool
parse(const char *text)
{
    return rules_parse(&rules, "f", text, strlen(text), err, sizeof err);
}

static bool
kernel(int type, const char *ip, unsigned port, bool local)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    cr_assert_eq(inet_pton(AF_INET, ip, &in.sin_addr), 1);
    return rules_decide(&rules, type, (struct sockaddr *)&in, local);
}

static bool
kernel6(int type, const char *ip, bool local)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    cr_assert_eq(inet_pton(AF_INET6, ip, &in.sin6_addr), 1);
    return rules_decide(&rules, type, (struct sockaddr *)&in, local);
}

/* Protects: without a rule loopback is the kernel's and all else Bulkhead's; the address that
 * means all of this host's is Bulkhead's to bind to, and loopback to send to. */
Test(rules, without_any_loopback_is_the_kernels)
{
    cr_assert(parse(""), "%s", err);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++)
        for (int local = 0; local < 2; local++) {
            cr_assert(kernel(type, "127.0.0.1", 80, local));
            cr_assert(kernel(type, "127.255.255.255", 0, local));
            cr_assert_not(kernel(type, "128.0.0.0", 80, local));
            cr_assert_not(kernel(type, "126.255.255.255", 80, local));
            cr_assert_not(kernel(type, "255.255.255.255", 80, local));
        }
    cr_assert_not(kernel(SOCK_STREAM, "0.0.0.0", 80, true));
    cr_assert(kernel(SOCK_STREAM, "0.0.0.0", 80, false));
    cr_assert_not(kernel(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, "10.0.0.1", 80, false));
}

/* Protects: loopback that no rule is about is told from what one gives to the kernel. */
Test(rules, loopback_by_default_is_told_apart)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    static const struct {
        const char *rules;
        uint32_t ip;
        enum rules_say say;
    } c[] = {
        {"", INADDR_LOOPBACK, RULES_LOOPBACK},
        {"", INADDR_ANY, RULES_LOOPBACK},
        {"", 0x0a000001, RULES_STACK},
        {"kernel 127.0.0.0/8", INADDR_LOOPBACK, RULES_KERNEL},
        {"kernel 127.0.0.0/8", INADDR_ANY, RULES_KERNEL},
        {"bulkhead 127.0.0.0/8", INADDR_ANY, RULES_STACK},
        {"kernel udp 127.0.0.0/8", INADDR_LOOPBACK, RULES_LOOPBACK},
        {"kernel 10.0.0.0/8", 0x0a000001, RULES_KERNEL},
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        cr_assert(parse(c[i].rules), "%s", err);
        in.sin_addr.s_addr = htonl(c[i].ip);
        cr_assert_eq(rules_say(&rules, SOCK_STREAM, (struct sockaddr *)&in, false), c[i].say,
                     "row %zu", i);
    }
}

/* Protects: what Bulkhead has not is the kernel's: IPv6 but for IPv4 that is mapped into it,
 * other families, other types. */
Test(rules, what_there_is_not_is_the_kernels)
{
    cr_assert(parse("bulkhead any"), "%s", err);
    cr_assert(kernel6(SOCK_STREAM, "2001:db8::1", false));
    cr_assert(kernel6(SOCK_STREAM, "::1", false));
    cr_assert_not(kernel6(SOCK_STREAM, "::ffff:10.0.0.1", false));
    cr_assert_not(kernel6(SOCK_STREAM, "::", true));
    cr_assert(kernel(SOCK_RAW, "10.0.0.1", 0, false));
    struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = "/x"};
    cr_assert(rules_decide(&rules, SOCK_STREAM, (struct sockaddr *)&sun, false));
    cr_assert(parse("kernel 10.0.0.0/8"));
    cr_assert(kernel6(SOCK_STREAM, "::ffff:10.0.0.1", false));
    cr_assert_not(kernel6(SOCK_STREAM, "::ffff:11.0.0.1", false));
    cr_assert(parse(""));
    cr_assert(kernel6(SOCK_DGRAM, "::ffff:127.0.0.1", true));
}

/* Protects: the first line that fits decides, each part of a line counts, and what no line
 * fits is as without a file. */
Test(rules, the_first_line_that_fits_decides)
{
    cr_assert(parse("# what goes where\n"
                    "bulkhead 10.1.2.3            // not a word of it to the kernel\n"
                    "kernel   tcp to 10.0.0.0/8 port 5432\n"
                    "kernel   udp from any port 5000-5999\n"
                    "\n"
                    "bulkhead to 127.0.0.9/32 port 53\n"
                    "kernel 192.168.0.0/16\n"),
              "%s", err);
    cr_assert_eq(rules.n, 5);
    cr_assert(kernel(SOCK_STREAM, "10.9.9.9", 5432, false));
    cr_assert_not(kernel(SOCK_STREAM, "10.1.2.3", 5432, false), "an earlier line");
    cr_assert_not(kernel(SOCK_DGRAM, "10.9.9.9", 5432, false), "another protocol");
    cr_assert_not(kernel(SOCK_STREAM, "10.9.9.9", 5432, true), "another side");
    cr_assert_not(kernel(SOCK_STREAM, "10.9.9.9", 5433, false), "another port");
    cr_assert_not(kernel(SOCK_STREAM, "11.0.0.1", 5432, false), "another network");
    cr_assert(kernel(SOCK_DGRAM, "0.0.0.0", 5000, true));
    cr_assert(kernel(SOCK_DGRAM, "0.0.0.0", 5999, true));
    cr_assert_not(kernel(SOCK_DGRAM, "0.0.0.0", 6000, true));
    cr_assert_not(kernel(SOCK_DGRAM, "0.0.0.0", 4999, true));
    cr_assert_not(kernel(SOCK_DGRAM, "1.2.3.4", 5000, false));
    cr_assert_not(kernel(SOCK_DGRAM, "127.0.0.9", 53, false));
    cr_assert(kernel(SOCK_DGRAM, "127.0.0.9", 54, false));
    cr_assert(kernel(SOCK_DGRAM, "127.0.0.9", 53, true));
    cr_assert(kernel(SOCK_STREAM, "192.168.255.255", 1, false));
    cr_assert(kernel(SOCK_DGRAM, "192.168.0.0", 1, true));
    cr_assert_not(kernel(SOCK_DGRAM, "192.169.0.0", 1, true));
    cr_assert(parse("kernel any\nbulkhead any"));
    cr_assert(kernel(SOCK_STREAM, "1.1.1.1", 1, false));
    cr_assert(parse("kernel 0.0.0.0/0"));
    cr_assert(kernel(SOCK_STREAM, "255.1.1.1", 1, false));
    cr_assert(parse("bulkhead tcp port 80\nkernel any"));
    cr_assert_not(kernel(SOCK_STREAM, "127.0.0.1", 80, true));
    cr_assert(kernel(SOCK_DGRAM, "127.0.0.1", 80, true));
}

/* Protects: every mistake is refused, and the message names its line and column. */
Test(rules, mistakes_are_named_with_line_and_column)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"kernal any", "f:1:1: a rule begins with kernel or bulkhead"},
        {"kernel any\n  tcp any", "f:2:3: a rule begins with"},
        {"kernel", "f:1:1: what goes there is missing"},
        {"\n  kernel\nbulkhead any", "f:2:3: what goes there is missing"},
        {"kernel tcp to 10.0.0.0/8 prot 80", "f:1:26: \"prot\" is too much or too late"},
        {"kernel 10.0.0.1/8", "f:1:8: 10.0.0.1/8 has bits behind"},
        {"kernel 10.0.0/8", "f:1:8: \"10.0.0/8\" is none of"},
        {"kernel 10.0.0.0/33", "f:1:8: "},
        {"kernel 10.0.0.0/", "f:1:8: "},
        {"kernel 10.0.0.0/-1", "f:1:8: "},
        {"kernel ::1", "f:1:8: "},
        {"kernel any port", "f:1:12: \"port\" stands without"},
        {"kernel any port\nkernel any", "f:1:12: \"port\" stands without"},
        {"kernel any port 65536", "f:1:17: \"65536\" is no port"},
        {"kernel any port 80-", "f:1:17: "},
        {"kernel any port -80", "f:1:17: "},
        {"kernel any port 81-80", "f:1:17: "},
        {"kernel any port 0x50", "f:1:17: "},
        {"kernel any port http", "f:1:17: "},
        {"kernel any port 80 81", "f:1:20: "},
        {"kernel any tcp", "f:1:12: \"tcp\" is too much or too late"},
        {"kernel tcp udp any", "f:1:12: "},
        {"kernel to from any", "f:1:11: "},
        {"kernel any any", "f:1:12: "},
        {"kernel {", "f:1:8: there is no \"{\""},
        {"kernel any, any", "f:1:11: "},
        {"kernel \"any", "f:1:8: the quote"},
        {"kernel any \001", "f:1:12: "},
        {"= any", "f:1:1: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_not(parse(cases[i].text), "taken: %s", cases[i].text);
        cr_assert_eq(strncmp(err, cases[i].where, strlen(cases[i].where)), 0, "%s: %s",
                     cases[i].text, err);
    }
}

/* Protects: the most rules fit, one more is refused and not lost. */
Test(rules, there_is_a_most)
{
    char text[(RULES_MAX + 1) * 11 + 1] = "";
    for (unsigned i = 0; i < RULES_MAX; i++)
        memcpy(text + i * 11, "kernel any\n", 12);
    cr_assert(parse(text), "%s", err);
    cr_assert_eq(rules.n, RULES_MAX);
    memcpy(text + RULES_MAX * 11, "kernel any\n", 12);
    cr_assert_not(parse(text));
    cr_assert_not_null(strstr(err, "f:257:1: "), "%s", err);
}

/* Protects: a process has the rules of the file that it loaded, and keeps them when another
 * one cannot be read or is wrong. */
Test(rules, a_bad_file_changes_nothing)
{
    char path[] = "/tmp/bulkhead-rules.XXXXXX";
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    in.sin_addr.s_addr = htonl(0x0a000001);
    const struct sockaddr *a = (const struct sockaddr *)&in;
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_not(rules_kernel(SOCK_STREAM, a, false));
    cr_assert_eq(write(fd, "kernel any\n", 11), 11);
    cr_assert(rules_load(path, err, sizeof err), "%s", err);
    cr_assert(rules_kernel(SOCK_STREAM, a, false));
    cr_assert_eq(write(fd, "bulkhead\n", 9), 9);
    cr_assert_not(rules_load(path, err, sizeof err));
    cr_assert_not_null(strstr(err, ":2:1: "), "%s", err);
    cr_assert(rules_kernel(SOCK_STREAM, a, false));
    cr_assert_eq(ftruncate(fd, RULES_FILE_MAX + 1), 0);
    cr_assert_not(rules_load(path, err, sizeof err));
    cr_assert_not_null(strstr(err, "longer than"), "%s", err);
    close(fd);
    unlink(path);
    cr_assert_not(rules_load(path, err, sizeof err));
    cr_assert_not_null(strstr(err, "No such file"), "%s", err);
    cr_assert(rules_kernel(SOCK_STREAM, a, false));
    cr_assert(rules_load("", err, sizeof err));
    cr_assert_not(rules_kernel(SOCK_STREAM, a, false));
}
