/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The packets that bulkhead-wire has under way, which change their order only where they are
 * to, and what a profile may say.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/wire/conf.h"
#include "bench/wire/line.h"

static struct line_entry heap[256];

static void
expect(struct line *l, ns_t now, const char *slots)
{
    struct line_entry e;
    char got[64];
    size_t n = 0;
    while (n + 1 < sizeof got && line_take(l, now, &e)) {
        cr_assert_leq(e.due, now);
        got[n++] = (char)e.slot;
    }
    got[n] = '\0';
    cr_assert_str_eq(got, slots);
}

/* Protects: packets leave by their time, and those of the same time in the order they came. */
Test(badwire_line, the_line_keeps_the_order)
{
    struct line l;
    line_init(&l, heap, ARRAY_LEN(heap));
    cr_assert_eq(line_next(&l), NS_NEVER);
    for (char c = 'a'; c <= 'z'; c++)
        cr_assert(line_put(&l, (uint32_t)c, 1, 100 + (uint64_t)(c - 'a') / 5, 0));
    cr_assert_eq(line_next(&l), 100);
    expect(&l, 99, "");
    expect(&l, 102, "abcdefghijklmno");
    expect(&l, 1000, "pqrstuvwxyz");
    for (unsigned i = 0; i < ARRAY_LEN(heap); i++)
        cr_assert(line_put(&l, i, 1, i, 0));
    cr_assert_not(line_put(&l, 0, 1, 0, 0));
}

/* Protects: a packet that is held back leaves right behind the third one after it, or when its
 * time is up. */
Test(badwire_line, the_line_holds_back)
{
    struct line l;
    line_init(&l, heap, ARRAY_LEN(heap));
    cr_assert(line_put(&l, 'x', 1, 500, 3));
    for (char c = 'a'; c <= 'e'; c++)
        cr_assert(line_put(&l, (uint32_t)c, 1, 100 + (uint64_t)(c - 'a'), 0));
    expect(&l, 104, "abcxde");

    cr_assert(line_put(&l, 'x', 1, 300, 3));
    cr_assert(line_put(&l, 'a', 1, 200, 0));
    cr_assert_eq(line_next(&l), 200);
    expect(&l, 299, "a");
    cr_assert_eq(line_next(&l), 300);
    expect(&l, 300, "x");
    cr_assert_eq(line_next(&l), NS_NEVER);
}

/* ---- profiles ---- */

static char err[512];

static int
read_profile(struct wire_conf *c, const char *text)
{
    char path[] = "/tmp/bulkhead-test-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    wire_conf_init(c);
    int rc = wire_profile(c, path, err, sizeof err);
    unlink(path);
    return rc;
}

/* Protects: values with their units reach the directions that they are for. */
Test(badwire_line, a_profile_is_taken)
{
    struct wire_conf c;
    cr_assert_eq(read_profile(&c, "# a link\nseed = 42\ndelay = 20ms\nloss = 1%\n"
                                  "mtu_silent = yes\noverhead = 0\nrate = \"2.5G\"\n"
                                  "to_right { rate = 100M queue_bytes = 64K }\n"
                                  "to_left { delay = 250us loss = 0.5 queue_packets = 7 }\n"),
                 0, "%s", err);
    const struct way_conf *r = &c.way[TO_RIGHT], *l = &c.way[TO_LEFT];
    cr_assert_eq(c.seed, 42);
    cr_assert_eq(r->rate, 100000000);
    cr_assert_eq(l->rate, 2500000000);
    cr_assert_eq(r->delay, 20 * NS_MS);
    cr_assert_eq(l->delay, 250 * NS_US);
    cr_assert_float_eq(r->loss, 0.01, 1e-12);
    cr_assert_float_eq(l->loss, 0.5, 1e-12);
    cr_assert_eq(r->queue_bytes, 65536);
    cr_assert_eq(l->queue_packets, 7);
    cr_assert_eq(r->mtu_silent, 1);
    cr_assert_eq(r->overhead, 0);
    cr_assert_eq(r->reorder_packets, way_perfect().reorder_packets);
}

/* Protects: a profile that is wrong is refused, with the place and what is wrong there. */
Test(badwire_line, a_wrong_profile_is_refused)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"\n\nlosss = 0.1\n", ":3: "},
        {"loss = 0.1\nloss = 1.5\n", ":2: loss = \"1.5\" must be from 0 to 1"},
        {"delay = 20\n", ":1: delay = \"20\" must be a time"},
        {"delay = -1ms\n", ":1: "},
        {"rate = fast\n", ":1: rate = \"fast\" must be a rate"},
        {"rate = 1e9\n", ":1: "},
        {"rate = 1.2.3M\n", ":1: "},
        {"mtu = 1400.5\n", ":1: "},
        {"mtu_silent = true\n", ":1: mtu_silent = \"true\" must be yes or no"},
        {"seed = x\n", ":1: seed"},
        {"to_right {\n loss = 2\n}\n", ":2: loss"},
        {"to_left {\n seed = 2\n}\n", ":2: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct wire_conf c;
        cr_assert_eq(read_profile(&c, bad[i].text), EXIT_CONFIG, "%s", bad[i].text);
        cr_assert_not_null(strstr(err, bad[i].says), "\"%s\" said: %s", bad[i].text, err);
    }
    struct wire_conf c;
    cr_assert_eq(wire_profile(&c, "/nonexistent/profile", err, sizeof err), EXIT_CONFIG);
    cr_assert_not_null(strstr(err, "/nonexistent/profile: No such file"), "%s", err);
}
