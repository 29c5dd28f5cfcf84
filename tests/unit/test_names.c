/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is read from nsswitch.conf and resolv.conf, and how answers are given to a program.
 */
#include <criterion/criterion.h>

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "preload/names.h"

/* Protects: who is asked, and in which order, is what nsswitch.conf says; nobody who would
 * cause traffic is left to libc. */
Test(names, order)
{
    static const struct {
        const char *text, *local;
        bool dns, dns_first;
    } cases[] = {
        {"", "files", true, false},
        {"passwd: files\n", "files", true, false},
        {"#hosts: dns\n", "files", true, false},
        {"hosts:files dns", "files", true, false},
        {"hosts: dns files\n", "files", true, true},
        {" hosts:\tfiles\tdns # and no more\n", "files", true, false},
        {"passwd: files\nhosts: files\nnetworks: dns\n", "files", false, false},
        {"hosts: files mdns4_minimal [NOTFOUND=return] dns myhostname\n", "files myhostname",
         true, false},
        {"hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n",
         "mymachines files myhostname", true, false},
        {"hosts: resolve [!UNAVAIL=return] files dns\n", "files", true, true},
        {"hosts: files [NOTFOUND=return] dns\n", "files", false, false},
        {"hosts: files [ !UNAVAIL=return ] dns\n", "files", false, false},
        {"hosts: files[!UNAVAIL=return] dns\n", "files", false, false},
        {"hosts: files [SUCCESS=return] dns\n", "files", true, false},
        {"hosts: dns\n", "", true, true},
        {"hosts: wins nis hesiod ldap\n", "", false, false},
        {"hosts:", "", false, false},
        {"HOSTS: Files DNS", "Files", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct names_order o;
        names_order_parse(&o, cases[i].text, strlen(cases[i].text));
        cr_assert_str_eq(o.local, cases[i].local, "%s", cases[i].text);
        cr_assert_eq(o.dns, cases[i].dns, "%s", cases[i].text);
        cr_assert_eq(o.dns_first, cases[i].dns_first, "%s", cases[i].text);
    }
    char text[600] = "hosts:"; /* more services than there is room for */
    for (unsigned i = 0; i < 50; i++)
        strcat(text, " mymachines");
    struct names_order o;
    names_order_parse(&o, text, strlen(text));
    cr_assert_lt(strlen(o.local), sizeof o.local);
    cr_assert_eq(strncmp(o.local, "mymachines mymachines", 21), 0);
}

/* Protects: options of resolv.conf count, with libc's limits; the last word holds. */
Test(names, options)
{
    struct names_options o = {0};
    const char *text = "nameserver 10.0.0.1\noptions timeout:3 attempts:4 rotate\n"
                       "#options timeout:9\n;options timeout:9\noptions use-vc\n";
    names_options_parse(&o, text, strlen(text));
    cr_assert_eq(o.timeout, 3);
    cr_assert_eq(o.attempts, 4);
    cr_assert(o.use_vc);
    text = "timeout:99999999999999 attempts:6";
    names_options_words(&o, text, strlen(text));
    cr_assert_eq(o.timeout, 30);
    cr_assert_eq(o.attempts, 5);
    text = "options timeout: attempts:x ndots:5 time\n options\noptions";
    o = (struct names_options){0};
    names_options_parse(&o, text, strlen(text));
    cr_assert_eq(o.timeout, 0);
    cr_assert_eq(o.attempts, 0);
    cr_assert_not(o.use_vc);
}

/* Protects: a name that is not there, one that has no such address, and a server that does not
 * answer are three things for a program. */
Test(names, errors)
{
    cr_assert_eq(names_eai(ARES_SUCCESS), 0);
    cr_assert_eq(names_eai(ARES_ENOTFOUND), EAI_NONAME);
    cr_assert_eq(names_eai(ARES_ENODATA), EAI_NODATA);
    cr_assert_eq(names_eai(ARES_ETIMEOUT), EAI_AGAIN);
    cr_assert_eq(names_eai(ARES_ESERVFAIL), EAI_AGAIN);
    cr_assert_eq(names_eai(ARES_ENOMEM), EAI_MEMORY);
    cr_assert_eq(names_eai(ARES_EFORMERR), EAI_FAIL);
    cr_assert_eq(names_h_errno(ARES_SUCCESS), NETDB_SUCCESS);
    cr_assert_eq(names_h_errno(ARES_ENOTFOUND), HOST_NOT_FOUND);
    cr_assert_eq(names_h_errno(ARES_ENODATA), NO_DATA);
    cr_assert_eq(names_h_errno(ARES_ETIMEOUT), TRY_AGAIN);
    cr_assert_eq(names_h_errno(ARES_ENOMEM), NETDB_INTERNAL);
    cr_assert_eq(names_h_errno(ARES_EFORMERR), NO_RECOVERY);
}

/* Protects: a host is packed into whatever room a program gives, at whatever address, or
 * refused; not a byte beside it is written. */
Test(names, packing)
{
    static struct names_answer a = {.n = 3, .n_aliases = 2, .canon = "a.test"};
    static char room[1024];
    a.addr[0].family = a.addr[2].family = AF_INET;
    a.addr[1].family = AF_INET6;
    a.addr[0].in.s_addr = htonl(0x0a000001);
    a.addr[2].in.s_addr = htonl(0x0a000002);
    strcpy(a.alias[0], "alias.test");
    strcpy(a.alias[1], "b.test");
    size_t least = 0;
    for (size_t skew = 0; skew < 8; skew++)
        for (size_t len = 0; len < 256; len++) {
            struct hostent h;
            memset(room, 0x5a, sizeof room);
            int err = names_pack(&h, room + 64 + skew, len, &a, "asked", AF_INET);
            for (size_t i = 0; i < sizeof room; i++)
                if (i < 64 + skew || i >= 64 + skew + len)
                    cr_assert_eq(room[i], 0x5a, "byte %zu", i);
            if (err != 0) {
                cr_assert_eq(err, ERANGE);
                least = len;
                continue;
            }
            cr_assert_eq((uintptr_t)h.h_addr_list % sizeof(char *), 0);
            cr_assert_str_eq(h.h_name, "a.test");
            cr_assert_str_eq(h.h_aliases[0], "alias.test");
            cr_assert_str_eq(h.h_aliases[1], "b.test");
            cr_assert_null(h.h_aliases[2]);
            cr_assert_eq(h.h_addrtype, AF_INET);
            cr_assert_eq(h.h_length, 4);
            cr_assert_eq(memcmp(h.h_addr_list[0], &a.addr[0].in, 4), 0);
            cr_assert_eq(memcmp(h.h_addr_list[1], &a.addr[2].in, 4), 0, "not the IPv6 one");
            cr_assert_null(h.h_addr_list[2]);
        }
    cr_assert_gt(least, 64);
    struct hostent h;
    a.canon[0] = '\0';
    cr_assert_eq(names_pack(&h, room, sizeof room, &a, "asked", AF_INET6), 0);
    cr_assert_str_eq(h.h_name, "asked");
    cr_assert_eq(h.h_length, 16);
    cr_assert_null(h.h_addr_list[1]);
}

/* As libc's res_hnok: nobody is asked for anything else. */
Test(names, what_no_host_is_called_is_not_asked_for)
{
    static const char *const good[] = {"a", "a.", "a-b.c", "_x._tcp.a", "0", ".", "a.-b"};
    static const char *const not [] = {"", "-", " ", "-a", "a b", "*", "a ", "\xc3\xa9", "a/b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(names_is_host(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
        cr_assert(!names_is_host(not [i]), "%s", not [i]);
}
