/* SPDX-License-Identifier: BSD-2-Clause */
#include "kit_request.h"

#include <stdlib.h>

#include "session/fifo.h"
#include "session/ops.h"

const struct sess_grant kit_grant = {.first = 1, .last = 65535};

void *
kit_zeroed(size_t len)
{
    void *p = aligned_alloc(FIFO_PAGE, ALIGN_UP(len, (size_t)FIFO_PAGE));
    if (p == NULL)
        abort();
    return memset(p, 0, ALIGN_UP(len, (size_t)FIFO_PAGE));
}

struct ipaddr
kit_address(uint32_t a)
{
    return a ? ipaddr_v4_u32(a) : (struct ipaddr){0};
}

int
kit_bind(struct kit *k, uint32_t sess, uint32_t addr, uint16_t port)
{
    struct sess_req r = {.op = REQ_BIND, .addr = kit_address(addr), .port = port};
    return kit_request(k, sess, r, NULL);
}

int
kit_connect(struct kit *k, uint32_t sess, uint32_t addr, uint16_t port)
{
    struct sess_req r = {.op = REQ_CONNECT, .addr = kit_address(addr), .port = port};
    return kit_request(k, sess, r, NULL);
}

int
kit_set(struct kit *k, uint32_t sess, int level, int name, uint64_t value)
{
    struct sess_req r = {.op = REQ_SETOPT, .level = level, .name = name, .value = value};
    return kit_request(k, sess, r, NULL);
}

int64_t
kit_get(struct kit *k, uint32_t sess, int level, int name)
{
    struct sess_req r = {.op = REQ_GETOPT, .level = level, .name = name};
    struct sess_evt e;
    return kit_request(k, sess, r, &e) ? -e.err : (int64_t)e.value;
}
