/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Accounts as they stand in a file: what is taken, what is refused and where, and which account
 * a process belongs to.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "policy/accounts.h"
#include "tcp/cc.h"

static char err[768];

static int
parse(struct accounts *as, const char *text)
{
    return accounts_parse(as, "f", text, strlen(text), err, sizeof err);
}

static const struct policy_account *
find(const struct accounts *as, uid_t uid, const gid_t *gids, unsigned n, const char *cgroups)
{
    struct account_who who = {.uid = uid, .gids = gids, .n_gids = n, .cgroups = cgroups};
    return accounts_find(as, &who);
}

/* Protects: the first account that names the uid or one of the groups decides, a denial
 * before a grant included; who is named by none is turned away. */
Test(policy, the_first_match_decides)
{
    struct accounts as;
    cr_assert_eq(parse(&as, "account \"out\" { uids = {\"7\"} deny = true }\n"
                            "account \"staff\" { gids = {\"100\", 200} arena = \"1M\"\n"
                            "  sessions = 5 half_open = 6 clients = 7 }\n"
                            "account eight { uids = 8 }\n"),
                 0, "%s", err);
    const gid_t g200[] = {1, 200}, g1[] = {1};
    const struct policy_account *a = find(&as, 7, g200, 2, NULL);
    cr_assert_not_null(a);
    cr_assert(a->deny);
    a = find(&as, 8, g200, 2, NULL);
    cr_assert_str_eq(a->name, "staff");
    cr_assert_eq(a->line, 2);
    cr_assert_eq(a->arena, 1u << 20);
    cr_assert_eq(a->sessions, 5);
    cr_assert_eq(a->half_open, 6);
    cr_assert_eq(a->clients, 7);
    cr_assert_eq(a->rule_line[RULE_SESSIONS], 3);
    cr_assert_eq(a->rule_line[RULE_PORTS], 0, "not there");
    cr_assert_not(a->deny);
    cr_assert_str_eq(find(&as, 8, g1, 1, NULL)->name, "eight");
    cr_assert_null(find(&as, 9, g1, 1, NULL));
    cr_assert_null(find(&as, 0, NULL, 0, NULL), "root is nobody special");
    accounts_free(&as);
    cr_assert_eq(parse(&as, ""), 0);
    cr_assert_null(find(&as, 0, g1, 1, NULL), "no accounts: nobody");
    accounts_free(&as);
}

/* Protects: a cgroup stands for itself and what is below it, and for no other whose name begins
 * the same; a process whose cgroup is not known is in none. */
Test(policy, a_cgroup_is_a_subtree)
{
    struct accounts as;
    cr_assert_eq(parse(&as, "account web { cgroups = {\"/system.slice/web.service\"} }\n"
                            "account old { cgroups = {\"memory:/jobs\"} uids = {5} }\n"
                            "account root { cgroups = {\"cpu:/\"} }\n"),
                 0, "%s", err);
    cr_assert(accounts_want_cgroup(&as));
    static const struct {
        const char *cgroups, *account;
        uid_t uid;
    } cases[] = {
        {"0::/system.slice/web.service\n", "web", 1},
        {"0::/system.slice/web.service/worker", "web", 1},
        {"12:memory:/x\n0::/system.slice/web.service\n", "web", 1},
        {"0::/system.slice/web.service2\n", NULL, 1},
        {"0::/system.slice\n", NULL, 1},
        {"1:name=systemd:/system.slice/web.service\n", NULL, 1},
        {"4:cpuset,memory:/jobs/7\n", "old", 5},
        {"4:cpuset,memory:/jobs/7\n", NULL, 6},
        {"4:memoryx:/jobs/7\n", NULL, 5},
        {"4:cpu:/anything\n", "root", 6},
        {"", NULL, 5},
        {":", NULL, 5},
        {"::", NULL, 5},
        {NULL, NULL, 5},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_account *a = find(&as, cases[i].uid, NULL, 0, cases[i].cgroups);
        cr_expect_str_eq(a != NULL ? a->name : "none",
                         cases[i].account != NULL ? cases[i].account : "none", "case %u", i);
    }
    accounts_free(&as);
}

/* Protects: what is written in the lists is what the transports are told, for each its own
 * part, and what is not written is not allowed. */
Test(policy, lists_become_rules)
{
    struct accounts as;
    struct account_rules tcp, udp;
    cr_assert_eq(parse(&as,
                       "account a {\n"
                       " ports = {\"tcp 80\", \"8000-8080\", \"udp 53\", \"tcp ephemeral\",}\n"
                       " listen = {80, \"tcp 443\"}\n"
                       " peers = {\"10.1.0.0/16 tcp 443-444\", \"any udp\"}\n"
                       " accept = {\"192.0.2.7\"}\n"
                       " congestion = {reno, vegas}\n"
                       " connects = 50 connects_burst = 60 packets = 1000\n"
                       " attaches = 7 attaches_burst = 8\n"
                       " bandwidth = \"100M\" memory = 1G per_uid = yes\n"
                       "}\naccount b { uids = {1} }\n"),
                 0, "%s", err);
    account_rules_of(&as.a[0], ACCOUNT_TCP, &tcp);
    account_rules_of(&as.a[0], ACCOUNT_UDP, &udp);
    cr_assert(account_rules_check(&tcp) && account_rules_check(&udp));
    static const uint16_t tcp_ports[] = {80, 8000, 8080, 32768, 60999},
                          not [] = {79, 81, 53, 61000};
    for (unsigned i = 0; i < ARRAY_LEN(tcp_ports); i++)
        cr_expect(account_port(tcp.port, tcp.n_ports, tcp_ports[i]), "%u", tcp_ports[i]);
    for (unsigned i = 0; i < ARRAY_LEN(not ); i++)
        cr_expect_not(account_port(tcp.port, tcp.n_ports, not [i]), "%u", not [i]);
    cr_assert(account_port(udp.port, udp.n_ports, 53));
    cr_assert_not(account_port(udp.port, udp.n_ports, 80));
    cr_assert(account_port(tcp.listen, tcp.n_listen, 443));
    cr_assert_not(account_port(tcp.listen, tcp.n_listen, 8000));
    struct ipaddr in = ipaddr_v4_u32(0x0a01ffff), out = ipaddr_v4_u32(0x0a020000),
                  seven = ipaddr_v4_u32(0xc0000207);
    cr_assert(account_peer(tcp.peer, tcp.n_peers, &in, 444));
    cr_assert_not(account_peer(tcp.peer, tcp.n_peers, &in, 445));
    cr_assert_not(account_peer(tcp.peer, tcp.n_peers, &out, 443));
    cr_assert(account_peer(udp.peer, udp.n_peers, &out, 1));
    cr_assert(account_peer(udp.accept, udp.n_accept, &seven, 9));
    cr_assert_not(account_peer(udp.accept, udp.n_accept, &in, 9));
    cr_assert_eq(tcp.congestion, 1u << CC_RENO | 1u << CC_VEGAS);
    cr_assert_eq(tcp.first, CC_RENO);
    cr_assert_eq(tcp.connects, 50);
    cr_assert_eq(tcp.connects_burst, 60);
    cr_assert_eq(as.a[0].attaches, 7);
    cr_assert_eq(as.a[0].attaches_burst, 8);
    cr_assert_eq(as.a[1].attaches, ACCOUNT_ATTACHES);
    cr_assert_eq(as.a[1].attaches_burst, ACCOUNT_ATTACHES_BURST);
    cr_assert_eq(udp.packets, 1000);
    cr_assert_eq(udp.bytes, 12500000);
    cr_assert_eq(as.a[0].memory, 1u << 30);
    cr_assert(as.a[0].per_uid);
    account_rules_of(&as.a[1], ACCOUNT_TCP, &tcp);
    cr_assert_eq(tcp.n_ports + tcp.n_listen + tcp.n_peers + tcp.n_accept + tcp.congestion, 0);
    cr_assert_eq(tcp.bytes, RATE_ANY);
    accounts_free(&as);
}

/* Protects: the accounts that are built in admit everybody, within bounds, and say so. */
Test(policy, the_built_in_ones_admit_everybody)
{
    struct accounts as;
    struct account_rules any, r;
    cr_assert_eq(accounts_read(&as, NULL, err, sizeof err), 0, "%s", err);
    const struct policy_account *a = find(&as, 12345, NULL, 0, NULL);
    cr_assert_not_null(a);
    cr_assert_not(a->deny);
    cr_assert(a->everybody && a->per_uid);
    cr_assert_gt(a->arena, 0);
    cr_assert_gt(a->clients, 0);
    cr_assert_neq(a->attaches, RATE_ANY); /* one program in a loop would cost all others */
    account_rules_any(&any);
    for (unsigned p = 0; p < ACCOUNT_PROTOS; p++) {
        account_rules_of(a, p, &r);
        cr_expect_eq(memcmp(r.port, any.port, sizeof r.port), 0);
        cr_expect_eq(memcmp(r.peer, any.peer, sizeof r.peer), 0);
        cr_expect_eq(memcmp(r.accept, any.accept, sizeof r.accept), 0);
    }
    accounts_free(&as);
}

/* Protects: a mistake is refused with its line and column and what would be right, never read
 * as something else. */
Test(policy, mistakes_have_a_place_and_a_remedy)
{
    static const struct {
        const char *text, *where, *what;
    } bad[] = {
        {"account a { uids = {\"no-such-user-here\"} }", "f:1:21: ", "no-such-user-here"},
        {"account a {\n  gids = {\"0\",\n  \"no-such-group-here\"} }",
         "f:3:3: ", "no such group"},
        {"account a { uids = {\"-1\"} }", "f:1:21: ", "0 to 4294967294"},
        {"account a { uids = {\"4294967295\"} }", "f:1:21: ", "4294967295"},
        {"account a { arena = \"lots\" }", "f:1:21: ", "\"256M\""},
        {"account a { arena = \"2048G\" }", "f:1:21: ", "at most 1024G"},
        {"account a { sessions = -1 }", "f:1:24: ", "0 to 1048576"},
        {"account a { clients = 129 }", "f:1:23: ", "0 to 128"},
        {"account a { clients = 0x10 }", "f:1:23: ", "0 to 128"},
        {"account a {\n\tsesions = 1 }", "f:2:2: ", "sessions"},
        {"account a { }\naccount a { }", "f:2:9: ", "line 1"},
        {"acount a { }", "f:1:1: ", "account \"NAME\""},
        {"account a { deny = maybe }", "f:1:20: ", "true or false"},
        {"account a { deny = {true} }", "f:1:20: ", "one value"},
        {"account a { ports = {\"tcp 0\"} }", "f:1:22: ", "\"tcp 80\""},
        {"account a { ports = {\"tcp 80-79\"} }", "f:1:22: ", "ports are"},
        {"account a { ports = {\"tcp 65536\"} }", "f:1:22: ", "ports are"},
        {"account a { ports = {\"sctp 1\"} }", "f:1:22: ", "ports are"},
        {"account a { ports = {\"tcp\"} }", "f:1:22: ", "ports are"},
        {"account a { ports = {\"tcp 1 2\"} }", "f:1:22: ", "ports are"},
        {"account a { listen = {\"udp 53\"} }", "f:1:23: ", "of tcp"},
        {"account a { peers = {\"10.0.0.1/8\"} }", "f:1:22: ", "behind the prefix"},
        {"account a { peers = {\"10.0.0.0/33\"} }", "f:1:22: ", "10.1.0.0/16"},
        {"account a { peers = {\"10.0.0.0/-1\"} }", "f:1:22: ", "10.1.0.0/16"},
        {"account a { peers = {\"example.org\"} }", "f:1:22: ", "10.1.0.0/16"},
        {"account a { accept = {\"any tcp x\"} }", "f:1:23: ", "10.1.0.0/16"},
        {"account a { congestion = {\"quick\"} }", "f:1:27: ", "\"vegas\""},
        {"account a { cgroups = {\"web\"} }", "f:1:24: ", "\"/path\""},
        {"account a { cgroups = {\"/a/../b\"} }", "f:1:24: ", "\"/path\""},
        {"account a { packets = 1k }", "f:1:23: ", "a second"},
        {"account a { packets = 0 }", "f:1:23: ", "1 to 1000000000"},
        {"account a { connects_burst = 0 }", "f:1:30: ", "1 to 1000000"},
        {"account a { attaches = 0 }", "f:1:24: ", "1 to 1000000000"},
        {"account a { attaches = often }", "f:1:24: ", "a second"},
        {"account a { attaches_burst = 0 }", "f:1:30: ", "1 to 1000000"},
        {"account a { bandwidth = 7999 }", "f:1:25: ", "\"100M\""},
        {"account a { sessions = 1\n sessions = 2 }", "f:2:2: ", "twice"},
        {"account a { sessions 1 }", "f:1:22: ", "="},
        {"account a { sessions = }", "f:1:24: ", "value"},
        {"account a { uids = {1 2} }", "f:1:23: ", "comma"},
        {"account a { uids = {1,,2} }", "f:1:23: ", "value"},
        {"account a { uids = \"1 }", "f:1:20: ", "quote"},
        {"account a { uids = {\"1\\n\"} }", "f:1:23: ", "backslash"},
        {"account a {", "f:1:12: ", "no }"},
        {"account \"a b\" { }", "f:1:9: ", "name"},
        {"account \"\" { }", "f:1:9: ", "name"},
        {"account a-name-that-is-longer-than-31-bytes { }", "f:1:9: ", "name"},
        {"account a = { }", "f:1:11: ", "{"},
        {"# a comment\n\n   }", "f:3:4: ", "account"},
    };
    struct accounts as;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        cr_expect_eq(parse(&as, bad[i].text), EXIT_CONFIG, "accepted: %s", bad[i].text);
        cr_expect(strstr(err, bad[i].where) == err, "\"%s\": not %s: %s", bad[i].text,
                  bad[i].where, err);
        cr_expect(strstr(err, bad[i].what) != NULL, "\"%s\": no %s: %s", bad[i].text,
                  bad[i].what, err);
    }
    cr_assert_eq(accounts_read(&as, "/nonexistent/file.conf", err, sizeof err), EXIT_CONFIG);
    cr_assert(strstr(err, "/nonexistent/file.conf") == err, "%s", err);
    cr_assert_eq(accounts_read(&as, "/", err, sizeof err), EXIT_CONFIG, "a folder is no file");
}

/* Protects: lists have bounds, which are kept and named: what a transport is told is an array.
 */
Test(policy, lists_are_bounded)
{
    static const struct {
        const char *key, *format;
        unsigned most;
    } lists[] = {{"ports", "\"tcp %u\"", ACCOUNT_RANGES},
                 {"listen", "%u", ACCOUNT_RANGES},
                 {"peers", "\"10.0.0.%u\"", ACCOUNT_PEERS},
                 {"accept", "\"10.0.0.%u\"", ACCOUNT_PEERS},
                 {"uids", "%u", ACCOUNT_IDS_MAX},
                 {"gids", "%u", ACCOUNT_IDS_MAX},
                 {"cgroups", "\"/%u\"", ACCOUNT_CGROUPS_MAX}};
    struct accounts as;
    char text[4096];
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
        for (unsigned extra = 0; extra < 2; extra++) {
            int n = snprintf(text, sizeof text, "account a { %s = {", lists[i].key);
            for (unsigned k = 1; k <= lists[i].most + extra; k++) {
                char one[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(one, sizeof one, lists[i].format, k);
#pragma GCC diagnostic pop
                n += snprintf(text + n, sizeof text - (size_t)n, "%s,", one);
            }
            snprintf(text + n, sizeof text - (size_t)n, "} }");
            cr_expect_eq(parse(&as, text), extra ? EXIT_CONFIG : 0, "%s + %u: %s", lists[i].key,
                         extra, err);
            cr_expect(!extra || strstr(err, "already") != NULL, "%s", err);
            if (!extra)
                accounts_free(&as);
        }
}

/* Protects: texts that are almost a size are none. */
Test(policy, sizes_are_parsed_strictly)
{
    uint64_t n;
    static const char *const bad[] = {
        "", "-1", " 1", "1X", "1MB", "M", "0x10", "18446744073709551616", "17179869184G"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(policy_parse_bytes(bad[i], &n), "\"%s\"", bad[i]);
    cr_assert(policy_parse_bytes("17179869183G", &n));
    cr_assert_eq(n, 17179869183ull << 30);
    cr_assert(policy_parse_bytes("64m", &n));
    cr_assert_eq(n, 64u << 20);
    cr_assert(policy_parse_bytes("4096", &n));
    cr_assert_eq(n, 4096);
}
