/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The readers of configuration files: bulkheadd.conf, and a profile of bulkhead-wire. The first
 * byte chooses; the rest is the file. Whatever it holds, the answer is a configuration within
 * its bounds or one line that says where the fault is.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/wire/conf.h"
#include "domains/sup_config.h"
#include "fuzz.h"

/* A message for a person: one line, not empty, ended. */
static void
check_message(const char *err, size_t len, const char *path)
{
    expect(memchr(err, '\0', len) != NULL && err[0] != '\0');
    expect(strstr(err, path) != NULL);
}

static void
check_conf(const struct sup_conf *c)
{
    char err[256] = "";
    expect(memchr(c->instance, '\0', sizeof c->instance) != NULL);
    for (unsigned p = 0; p < PART_COUNT; p++)
        expect(c->n_frames[p] <= UINT32_MAX / FRAME_SIZE);
    expect(c->sndbuf <= c->buffer_max || c->buffer_max == 0 || c->sndbuf <= FIFO_MAX);
    if (sup_conf_check(c, err, sizeof err) != 0)
        expect(err[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sup_conf conf;
    static struct wire_conf wire;
    char path[32], err[512] = "";
    if (size == 0)
        return 0;
    int fd = memfd_create("conf", MFD_CLOEXEC);
    expect(fd >= 0);
    expect(write(fd, data + 1, size - 1) == (ssize_t)size - 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc;
    if (data[0] & 1) {
        wire_conf_init(&wire);
        rc = wire_profile(&wire, path, err, sizeof err);
    } else {
        sup_conf_init(&conf);
        rc = sup_conf_file(&conf, path, err, sizeof err);
        if (rc == 0)
            check_conf(&conf);
    }
    expect(rc == 0 || rc == EXIT_CONFIG);
    if (rc != 0)
        check_message(err, sizeof err, path);
    close(fd);
    return 0;
}
