/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Protects: what libbulkhead-preload.so makes of the addresses that a program gives, and how it
 * gives those of the stack: IPv4 as it is, and carried by AF_INET6 sockets as mapped addresses.
 */
#include "preload/shim.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>

bool share_confined;

bool shim_debug;
struct real real = {.ready = true};
_Atomic uint32_t shim_table[SHIM_FDS];

void
real_init(void)
{
}
const char *
bh_strerror_attach(void)
{
    return "";
}

/* Who listens: what was last asked about, and the answer. */
static int asked_proto, takes_proto;
static uint16_t asked_port;

bool
share_takes(int proto, uint16_t port)
{
    asked_proto = proto;
    asked_port = port;
    return proto == takes_proto;
}

struct want {
    uint32_t e;
    bool local;
    const char *text;
    enum where where;
    const char *sin; /* or NULL */
    int err;
};

static socklen_t
address(const char *text, struct sockaddr_storage *ss)
{
    struct sockaddr_in *sin = (void *)ss;
    struct sockaddr_in6 *sin6 = (void *)ss;
    memset(ss, 0, sizeof *ss);
    sin->sin_port = htons(80);
    if (inet_pton(AF_INET, text, &sin->sin_addr) == 1) {
        sin->sin_family = AF_INET;
        return sizeof *sin;
    }
    cr_assert_eq(inet_pton(AF_INET6, text, &sin6->sin6_addr), 1);
    sin6->sin6_family = AF_INET6;
    return sizeof *sin6;
}

Test(preload_addr, where_an_address_belongs)
{
    static const struct want want[] = {
        {0, true, "0.0.0.0", WHERE_STACK, "0.0.0.0", 0},
        {0, true, "10.1.2.3", WHERE_STACK, "10.1.2.3", 0},
        {0, true, "127.0.0.1", WHERE_KERNEL, NULL, 0},
        {0, false, "127.9.9.9", WHERE_KERNEL, NULL, 0},
        {0, false, "0.0.0.0", WHERE_KERNEL, NULL, 0},
        {0, false, "128.0.0.1", WHERE_STACK, "128.0.0.1", 0},
        {0, false, "::ffff:10.1.2.3", WHERE_REFUSED, NULL, EAFNOSUPPORT},
        {E_V6, true, "::", WHERE_STACK, "0.0.0.0", 0},
        {E_V6, true, "::ffff:10.1.2.3", WHERE_STACK, "10.1.2.3", 0},
        {E_V6, false, "::ffff:10.1.2.3", WHERE_STACK, "10.1.2.3", 0},
        {E_V6, false, "::ffff:127.0.0.1", WHERE_KERNEL, NULL, 0},
        {E_V6, false, "::1", WHERE_KERNEL, NULL, 0},
        {E_V6, true, "::1", WHERE_KERNEL, NULL, 0},
        {E_V6, false, "::", WHERE_KERNEL, NULL, 0},
        {E_V6, false, "2001:db8::1", WHERE_REFUSED, NULL, ENETUNREACH},
        {E_V6, true, "2001:db8::1", WHERE_REFUSED, NULL, EADDRNOTAVAIL},
        {E_V6, false, "10.1.2.3", WHERE_REFUSED, NULL, EINVAL},
        {E_V6 | E_DGRAM, false, "10.1.2.3", WHERE_STACK, "10.1.2.3", 0},
        {E_V6 | E_V6ONLY, true, "::", WHERE_NOWHERE, NULL, 0},
        {E_V6 | E_V6ONLY, true, "::1", WHERE_KERNEL, NULL, 0},
        {E_V6 | E_V6ONLY, true, "::ffff:10.1.2.3", WHERE_REFUSED, NULL, EINVAL},
        {E_V6 | E_V6ONLY, false, "::ffff:10.1.2.3", WHERE_REFUSED, NULL, ENETUNREACH},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct want *w = &want[i];
        struct sockaddr_storage ss;
        struct sockaddr_in sin = {0};
        int err = 0;
        socklen_t len = address(w->text, &ss);
        enum where got = addr_take(w->e, (struct sockaddr *)&ss, len, w->local, &sin, &err);
        cr_assert_eq(got, w->where, "row %zu: %d", i, got);
        cr_assert_eq(err, w->err, "row %zu: %d", i, err);
        if (w->sin != NULL) {
            cr_assert_eq(sin.sin_family, AF_INET);
            cr_assert_eq(sin.sin_addr.s_addr, inet_addr(w->sin), "row %zu", i);
            cr_assert_eq(sin.sin_port, htons(80));
        }
    }
}

/* Protects: loopback is the kernel's but for what this program itself takes there on the stack,
 * by that protocol; and never to be bound to. 0.0.0.0 is this host, as 127.0.0.1 is. */
Test(preload_addr, a_program_finds_itself_over_loopback)
{
    static const struct {
        uint32_t e;
        int takes;
        bool local;
        const char *text;
        enum where where;
        int proto; /* that was asked about; 0: nothing was */
    } want[] = {
        {0, IPPROTO_TCP, false, "127.0.0.1", WHERE_STACK, IPPROTO_TCP},
        {0, IPPROTO_TCP, false, "127.9.9.9", WHERE_STACK, IPPROTO_TCP},
        {0, IPPROTO_TCP, false, "0.0.0.0", WHERE_STACK, IPPROTO_TCP},
        {0, IPPROTO_UDP, false, "127.0.0.1", WHERE_KERNEL, IPPROTO_TCP},
        {E_DGRAM, IPPROTO_UDP, false, "127.0.0.1", WHERE_STACK, IPPROTO_UDP},
        {E_DGRAM, IPPROTO_TCP, false, "0.0.0.0", WHERE_KERNEL, IPPROTO_UDP},
        {0, IPPROTO_TCP, true, "127.0.0.1", WHERE_KERNEL, 0},
        {0, IPPROTO_TCP, false, "10.1.2.3", WHERE_STACK, 0},
        {E_V6, IPPROTO_TCP, false, "::ffff:127.0.0.1", WHERE_STACK, IPPROTO_TCP},
        {E_V6, IPPROTO_TCP, false, "::", WHERE_STACK, IPPROTO_TCP},
        {E_V6, IPPROTO_TCP, false, "::1", WHERE_KERNEL, 0},
        {E_V6 | E_V6ONLY, IPPROTO_TCP, false, "::", WHERE_KERNEL, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct sockaddr_storage ss;
        struct sockaddr_in sin = {0};
        int err = 0;
        socklen_t len = address(want[i].text, &ss);
        takes_proto = want[i].takes;
        asked_proto = asked_port = 0;
        cr_assert_eq(
            addr_take(want[i].e, (struct sockaddr *)&ss, len, want[i].local, &sin, &err),
            want[i].where, "row %zu", i);
        cr_assert_eq(asked_proto, want[i].proto, "row %zu", i);
        cr_assert_eq(asked_port, want[i].proto != 0 ? 80 : 0, "row %zu", i);
    }
}

Test(preload_addr, what_is_no_address_is_refused_as_by_the_kernel)
{
    struct sockaddr_storage ss;
    struct sockaddr_in sin;
    int err = 0;
    socklen_t len = address("10.1.2.3", &ss);
    cr_assert_eq(addr_take(0, NULL, len, true, &sin, &err), WHERE_REFUSED);
    cr_assert_eq(err, EFAULT);
    cr_assert_eq(addr_take(0, (struct sockaddr *)&ss, len - 1, true, &sin, &err),
                 WHERE_REFUSED);
    cr_assert_eq(err, EINVAL);
    cr_assert_eq(addr_take(0, (struct sockaddr *)&ss, 1, true, &sin, &err), WHERE_REFUSED);
    cr_assert_eq(err, EINVAL);
    cr_assert_eq(addr_take(0, (struct sockaddr *)&ss, sizeof ss + 1, true, &sin, &err),
                 WHERE_REFUSED);
    cr_assert_eq(err, EINVAL);
    ss.ss_family = AF_UNIX;
    cr_assert_eq(addr_take(0, (struct sockaddr *)&ss, len, true, &sin, &err), WHERE_REFUSED);
    cr_assert_eq(err, EAFNOSUPPORT);
    (void)address("::", &ss);
    cr_assert_eq(addr_take(E_V6, (struct sockaddr *)&ss, 24, true, &sin, &err), WHERE_STACK);
    cr_assert_eq(addr_take(E_V6, (struct sockaddr *)&ss, 23, true, &sin, &err), WHERE_REFUSED);
    cr_assert_eq(err, EINVAL);
    /* Programs that forget the family of no address. */
    struct sockaddr_in any = {.sin_port = htons(80)};
    cr_assert_eq(addr_take(0, (struct sockaddr *)&any, sizeof any, true, &sin, &err),
                 WHERE_STACK);
    cr_assert_eq(sin.sin_family, AF_INET);
}

Test(preload_addr, names_are_given_in_the_programs_family)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sockaddr_storage ss;
    struct sockaddr_in6 *six = (void *)&ss;
    char text[INET6_ADDRSTRLEN];
    cr_assert_eq(addr_make(E_V6, &sin, &ss), sizeof *six);
    cr_assert_eq(six->sin6_family, AF_INET6);
    cr_assert_eq(six->sin6_port, htons(7));
    cr_assert(IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr));
    sin.sin_addr.s_addr = inet_addr("10.1.2.3");
    cr_assert_eq(addr_make(E_V6, &sin, &ss), sizeof *six);
    cr_assert_str_eq(inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text),
                     "::ffff:10.1.2.3");
}

/* As the kernel's move_addr_to_user. */
Test(preload_addr, too_little_room_cuts_and_the_whole_length_is_told)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sockaddr_storage ss, to;
    socklen_t len = 4, whole = addr_make(0, &sin, &ss), minus = (socklen_t)-1;
    memset(&to, 0x55, sizeof to);
    cr_assert_eq(whole, sizeof sin);
    cr_assert_eq(addr_put(&ss, whole, (struct sockaddr *)&to, &len), 0);
    cr_assert_eq(len, sizeof sin);
    cr_assert_eq(memcmp(&to, &sin, 4), 0);
    cr_assert_eq(((unsigned char *)&to)[4], 0x55);
    cr_assert_eq(addr_put(&ss, whole, NULL, &len), EFAULT);
    cr_assert_eq(addr_put(&ss, whole, (struct sockaddr *)&to, NULL), EFAULT);
    cr_assert_eq(addr_put(&ss, whole, (struct sockaddr *)&to, &minus), EINVAL);
    len = 0;
    cr_assert_eq(addr_put(&ss, whole, NULL, &len), 0);
    cr_assert_eq(len, sizeof sin);
}
