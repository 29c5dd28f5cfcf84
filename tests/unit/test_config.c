/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What bulkheadd is told: the configuration file, the values that command line and file
 * share, and the table of who may map what.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "domains/sup_config.h"
#include "policy/topology.h"
#include "tcp/cc.h"
#include "tcp/tcp.h"

static char err[512];

/* A file with this text; the caller unlinks it. */
static const char *
file_with(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/bulkhead-test-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static int
read_conf(struct sup_conf *c, const char *text)
{
    const char *path = file_with(text);
    sup_conf_init(c);
    int rc = sup_conf_file(c, path, err, sizeof err);
    unlink(path);
    return rc;
}

/* Protects: every key reaches its field, and what is not mentioned keeps its default. */
Test(config, every_key_is_taken)
{
    struct sup_conf c, d;
    sup_conf_init(&d);
    cr_assert_eq(
        read_conf(
            &c,
            "interface = \"veth7\"\naddress = \"10.1.2.3/24\"\n"
            "gateway = \"10.1.2.254\"\ncomposition = monolithic\ndriver = packet\n"
            "checksum = strict\ninstance = \"two\"\n"
            "accounts = \"/etc/x\"\nsyn_cookies = always\nxsk_ring = 512\ntcp_sessions = 100\n"
            "udp_sessions = 101\nhalf_open = 102\norphans = 103\n"
            "sndbuf = 8192\nrcvbuf = 16384\nspin_us = 7\nprobes = 1\n"
            "probe_interval_ms = 20\nuid_base = 5000\n"
            "frames { rx = 256 iptx = 128 tcptx = 64 udptx = 66 up = 68 }\n"
            "cpu { nic = 0 ip = 1 tcp = 2 udp = 3 mono = 4 }\n"
            "tcp { congestion = \"vegas\" }\n"),
        0, "%s", err);
    cr_assert_str_eq(c.interface, "veth7");
    cr_assert_eq(ipaddr_to_u32(&c.addr), 0x0a010203u);
    cr_assert_eq(c.prefix, 24);
    cr_assert_eq(ipaddr_to_u32(&c.gateway), 0x0a0102feu);
    cr_assert_eq(c.composition, COMP_MONOLITHIC);
    cr_assert_eq(c.driver, DRIVER_PACKET);
    cr_assert(c.checksum_strict);
    cr_assert_str_eq(c.instance, "two");
    cr_assert_str_eq(c.accounts, "/etc/x");
    cr_assert_eq(c.syn_cookies, TCP_COOKIES_ALWAYS);
    const uint32_t got[] = {
        c.xsk_ring, c.tcp_sessions, c.udp_sessions,      c.half_open, c.orphans,
        c.sndbuf,   c.rcvbuf,       (uint32_t)c.spin_us, c.probes,    c.probe_interval_ms,
        c.uid_base};
    const uint32_t want[] = {512, 100, 101, 102, 103, 8192, 16384, 7, 1, 20, 5000};
    for (unsigned i = 0; i < ARRAY_LEN(got); i++)
        cr_assert_eq(got[i], want[i], "number %u", i);
    const uint32_t frames[PART_COUNT] = {256, 128, 64, 66, 68};
    for (unsigned p = 0; p < PART_COUNT; p++)
        cr_assert_eq(c.n_frames[p], frames[p], "part %u", p);
    for (unsigned dom = 0; dom < DOM_COUNT; dom++)
        cr_assert_eq(c.cpu[dom], (int32_t)dom);
    cr_assert_eq(c.congestion, CC_VEGAS);

    cr_assert_eq(read_conf(&c, "# nothing but this\n"), 0);
    cr_assert_eq(memcmp(&c, &d, sizeof c), 0, "an empty file changes nothing");
}

/* Protects: what is wrong in a file is refused with EXIT_CONFIG, and the message has the
 * file's name, the right line and the key. */
Test(config, mistakes_are_named_with_their_line)
{
    static const struct {
        const char *text, *where, *what;
    } bad[] = {
        {"\nbogus = 1\n", ":2:", "bogus"},
        {"probes = 1\ntcp_sessions = many\n", ":2:", "tcp_sessions"},
        {"tcp_sessions = 15\n", ":1:", "tcp_sessions"},
        {"tcp_sessions = 1048577\n", ":1:", "tcp_sessions"},
        {"xsk_ring = 1000\n", ":1:", "power of two"},
        {"address = \"10.0.0.1\"\n", ":1:", "address"},
        {"address = \"10.0.0.256/24\"\n", ":1:", "address"},
        {"address = \"10.0.0.0/24\"\n", ":1:", "network"},
        {"address = \"10.0.0.255/24\"\n", ":1:", "broadcast"},
        {"address = \"224.0.0.1/24\"\n", ":1:", "address"},
        {"address = \"10.0.0.1/33\"\n", ":1:", "address"},
        {"composition = both\n", ":1:", "factored or monolithic"},
        {"driver = dpdk\n", ":1:", "xdp or packet"},
        {"syn_cookies = on\n", ":1:", "auto, off or always"},
        {"checksum = off\n", ":1:", "auto or strict"},
        {"instance = \"a/b\"\n", ":1:", "instance"},
        {"interface = \"sixteen-letters-\"\n", ":1:", "interface"},
        {"\n\nframes {\n rx = 3\n}\n", ":4:", "rx"},
        {"frames { rx = 257 }\n", ":1:", "even"},
        {"frames { bogus = 3 }\n", ":1:", "bogus"},
        {"cpu { nic = -2 }\n", ":1:", "nic"},
        {"sndbuf = 33554433\n", ":1:", "sndbuf"},
        {"tcp {\n congestion = \"quick\"\n}\n", ":2:", "congestion"},
        {"tcp { bogus = 1 }\n", ":1:", "bogus"},
    };
    struct sup_conf c;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        cr_expect_eq(read_conf(&c, bad[i].text), EXIT_CONFIG, "accepted: %s", bad[i].text);
        cr_expect(strstr(err, "/tmp/bulkhead-test-") == err, "no file: %s", err);
        cr_expect(strstr(err, bad[i].where) != NULL, "\"%s\": not %s: %s", bad[i].text,
                  bad[i].where, err);
        cr_expect(strstr(err, bad[i].what) != NULL, "\"%s\": no %s: %s", bad[i].text,
                  bad[i].what, err);
    }
    cr_assert_eq(sup_conf_file(&c, "/nonexistent/file.conf", err, sizeof err), EXIT_CONFIG);
    cr_assert(strstr(err, "/nonexistent/file.conf") != NULL, "%s", err);
}

/* Protects: the whole is checked too: required values, and a gateway that can be reached. */
Test(config, the_whole_is_checked)
{
    struct sup_conf c;
    sup_conf_init(&c);
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), EXIT_USAGE);
    cr_assert_null(sup_conf_set(&c, "interface", "veth0"));
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), EXIT_USAGE);
    cr_assert_null(sup_conf_set(&c, "address", "10.0.0.1/24"));
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), 0);
    cr_assert_null(sup_conf_set(&c, "gateway", "10.0.1.1"));
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), EXIT_USAGE);
    cr_assert_null(sup_conf_set(&c, "gateway", "10.0.0.1"));
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), EXIT_USAGE, "the stack itself");
    cr_assert_null(sup_conf_set(&c, "gateway", "10.0.0.254"));
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), 0);
    cr_assert_null(sup_conf_set(&c, "address", "10.0.0.1/31"));
    cr_assert_null(sup_conf_set(&c, "gateway", "10.0.0.0"));
    cr_assert_eq(sup_conf_check(&c, err, sizeof err), 0, "RFC 3021: a link of two");
}

/* Protects: texts that are almost a number or an address are neither. */
Test(config, addresses_are_parsed_strictly)
{
    static const char *const bad[] = {"",
                                      "10.0.0.1/",
                                      "10.0.0.1/-1",
                                      "10.0.0.1/ 8",
                                      "10.0.0/8",
                                      "10.0.0.1/8x",
                                      "10.0.0.1/+8",
                                      "::1/64",
                                      "1.2.3.4.5.6.7.8.9/8"};
    uint32_t a, p;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(sup_parse_v4(bad[i], &a, &p), "\"%s\"", bad[i]);
    cr_assert(sup_parse_v4("255.254.253.252/32", &a, &p));
    cr_assert_eq(a, 0xfffefdfcu);
    cr_assert_eq(p, 32);
    cr_assert_not(sup_parse_v4("10.0.0.1/8", &a, NULL), "no prefix wanted");
}

static const struct topo_grant *
grant_of(unsigned dom, unsigned region)
{
    for (unsigned i = 0; i < topo_n_grants; i++)
        if (topo_grants[i].dom == dom && topo_grants[i].region == region)
            return &topo_grants[i];
    return NULL;
}

/* Protects: the authority table. A row that grants more than the design allows must be
 * noticed here, and nobody is granted a region or a role twice. */
Test(topology, nobody_is_granted_more_than_the_design_says)
{
    for (unsigned part = 0; part < PART_COUNT; part++)
        cr_expect(grant_of(DOM_NIC, TOPO_FRAMES + part) == NULL ||
                      !topo_granted(grant_of(DOM_NIC, TOPO_FRAMES + part), DRIVER_XDP),
                  "nic maps packet memory");
    /* Where the kernel copies for the driver it reads what is sent, and nothing of others. */
    for (unsigned part = PART_IPTX; part <= PART_UDPTX; part++)
        cr_expect_not(grant_of(DOM_NIC, TOPO_FRAMES + part)->writable,
                      "nic writes what others send");
    cr_expect_null(grant_of(DOM_NIC, TOPO_FRAMES + PART_UP));
    for (unsigned dom = DOM_IP; dom <= DOM_UDP; dom++) {
        const struct topo_grant *rx = grant_of(dom, TOPO_FRAMES + PART_RX);
        cr_assert_not_null(rx);
        cr_expect_not(rx->writable, "%s writes receive memory", domain_name(dom));
    }
    cr_expect_null(grant_of(DOM_TCP, TOPO_FRAMES + PART_UDPTX));
    cr_expect_null(grant_of(DOM_UDP, TOPO_FRAMES + PART_TCPTX));
    cr_expect_not(grant_of(DOM_TCP, TOPO_PATH)->writable);
    cr_expect_not(grant_of(DOM_UDP, TOPO_PATH)->writable);
    cr_expect_not(grant_of(DOM_TCP, TOPO_FRAMES + PART_UP)->writable);
    cr_expect_not(grant_of(DOM_UDP, TOPO_FRAMES + PART_UP)->writable);
    cr_expect_not(grant_of(DOM_IP, TOPO_NICMAP)->writable);
    cr_expect_not(grant_of(DOM_IP, TOPO_PORTS)->writable);
    cr_expect_null(grant_of(DOM_TCP, TOPO_PORTS));
    for (unsigned dom = 0; dom < DOM_COUNT; dom++)
        for (unsigned other = 0; other < DOM_COUNT; other++)
            cr_expect_eq(grant_of(dom, TOPO_STATS_NIC + other) != NULL, dom == other);
    for (unsigned i = 0; i < topo_n_grants; i++)
        for (unsigned j = 0; j < i; j++)
            cr_expect(topo_grants[i].dom != topo_grants[j].dom ||
                          (topo_grants[i].region != topo_grants[j].region &&
                           topo_grants[i].role != topo_grants[j].role),
                      "rows %u and %u", i, j);
    for (unsigned r = 0; r < TOPO_REGIONS; r++)
        cr_assert_not_null(topo_region_name[r]);
}
