/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conf.h: what bulkhead-wire is told. A profile (libconfuse) and the command line have the same
 * settings with the same values; --queue-bytes on one is queue_bytes in the other.
 */
#ifndef BENCH_WIRE_CONF_H
#define BENCH_WIRE_CONF_H

#include "bench/wire/way.h"

enum { TO_RIGHT, TO_LEFT, WAYS };

struct wire_conf {
    struct way_conf way[WAYS];
    uint64_t seed;
};

enum setting_kind { SET_RATE, SET_TIME, SET_BYTES, SET_COUNT, SET_PART, SET_BOOL };

struct setting {
    const char *name; /* as in a profile */
    enum setting_kind kind;
    size_t off; /* in struct way_conf */
    double max;
    const char *help;
};

#define SETTINGS 19u
extern const struct setting settings[SETTINGS];

void wire_conf_init(struct wire_conf *c);

/* Set a value of one direction. Returns NULL, or what it must be (static text). */
must_check const char *setting_put(const struct setting *s, struct way_conf *w,
                                   const char *text);

/* A whole number; false if the text is anything else. */
must_check bool wire_number(const char *text, uint64_t *v);

/* Read a profile over *c. Returns 0, or EXIT_CONFIG with "FILE:LINE: what" in err; *c is
 * undefined then. */
must_check int wire_profile(struct wire_conf *c, const char *path, char *err, size_t err_len);

#endif
