/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzz the check of control messages. The first byte is the number of descriptors that came
 * with the message, the rest is the datagram. What is accepted must be usable without a
 * further look: as an index, as a size, as a text.
 */
#include "fuzz.h"
#include "ipc/ctl.h"

static void
use_sessions(const struct ctl_sessions *s)
{
    expect(s->n <= ARRAY_LEN(s->s));
    for (uint32_t i = 0; i < s->n; i++) {
        expect(s->s[i].state < CTL_STATE_MAX);
        expect(s->s[i].client < CLIENTS_MAX || s->s[i].client == SESS_NONE);
    }
}

static void
use(const struct ctl_msg *m)
{
    switch (m->type) {
    case CTL_CONFIG: {
        struct frames f = {0};
        expect(m->config.domain < DOM_COUNT);
        expect(strlen(m->config.instance) < sizeof m->config.instance);
        frames_layout(&f, m->config.n_frames);
        for (unsigned p = 1; p < PART_COUNT; p++)
            expect(f.off[p] == f.off[p - 1] + f.size[p - 1] && f.off[p] >= f.off[p - 1]);
        break;
    }
    case CTL_REGION:
        expect(m->region.role < REGION_ROLES && m->region.size > 0);
        break;
    case CTL_LINK:
        expect(m->link.peer < DOM_COUNT && m->link.kind < 2 && m->link.side < 2);
        break;
    case CTL_PEER_UP:
    case CTL_PEER_DOWN:
    case CTL_ACK:
        expect(m->peer < DOM_COUNT);
        break;
    case CTL_CLIENT_ADD:
    case CTL_WELCOME:
    case CTL_CLIENT_LIMITS:
        expect(m->client.limits.account < ACCOUNTS_MAX);
        expect(m->client.limits.rules.n_accept <= ARRAY_LEN(m->client.limits.rules.accept));
        expect(m->client.limits.rules.n_listen <= ARRAY_LEN(m->client.limits.rules.listen));
        expect(m->client.id < CLIENTS_MAX && arena_client_bytes(&m->client.g) > 0);
        break;
    case CTL_CLIENT_GONE:
    case CTL_CLIENT_FREE:
        expect(m->client.id < CLIENTS_MAX);
        break;
    case CTL_POISONED:
    case CTL_NOTICE:
    case CTL_DENIED:
        expect(strlen(m->text.text) < sizeof m->text.text);
        break;
    case CTL_DENIAL:
        expect(m->denial.account < ACCOUNTS_MAX && m->denial.client < CLIENTS_MAX);
        expect(m->denial.rule < RULE_COUNT);
        break;
    case CTL_SESSION_LIST:
        use_sessions(&m->sessions);
        break;
    case CTL_HELLO:
        expect(arena_domain_bytes(&m->hello.g) > 0);
        expect(strlen(m->hello.program) < sizeof m->hello.program);
        break;
    default:
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctl_msg m;
    if (size == 0)
        return 0;
    unsigned nfds = data[0];
    size_t len = size - 1;
    memset(&m, 0xff, sizeof m); /* nothing behind the message may be believed */
    memcpy(&m, data + 1, len < sizeof m ? len : sizeof m);
    if (ctl_check(&m, len, nfds) != 0)
        return 0;
    expect(len == ctl_bytes(m.type) && nfds == ctl_fds(m.type));
    use(&m);
    return 0;
}
