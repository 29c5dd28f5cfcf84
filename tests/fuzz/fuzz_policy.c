/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzz the reader of accounts. What is refused has a message with a place in the text; what is
 * accepted can be told to a transport as it is, and to people.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"
#include "fuzz.h"
#include "policy/accounts.h"

static void
said(void *ctx, const char *key, const char *value)
{
    size_t *n = ctx;
    *n += strlen(key) + strlen(value);
}

static void
use(const struct accounts *as)
{
    for (unsigned i = 0; i < as->n; i++) {
        const struct policy_account *a = &as->a[i];
        struct account_rules r;
        size_t n = 0;
        expect(strlen(a->name) > 0 && strlen(a->name) < sizeof a->name && a->line > 0);
        expect(a->n_uids <= ACCOUNT_IDS_MAX && a->n_gids <= ACCOUNT_IDS_MAX);
        for (unsigned p = 0; p < ACCOUNT_PROTOS; p++) {
            account_rules_of(a, p, &r);
            expect(account_rules_check(&r));
        }
        account_describe(a, said, &n);
        expect(n > 0);
    }
    struct account_who who = {.uid = 1, .cgroups = "0::/a/b\n4:cpu,memory:/x\n::\n:"};
    const struct policy_account *a = accounts_find(as, &who);
    expect(a == NULL || (a >= as->a && a < as->a + as->n));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct accounts as;
    char err[256], *text = malloc(size + 1); /* of its own size: a byte too far is noticed */
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    unsigned line = 0, column = 0;
    if (accounts_parse(&as, "f", text, size, err, sizeof err) == 0) {
        use(&as);
        accounts_free(&as);
    } else {
        expect(sscanf(err, "f:%u:%u: ", &line, &column) == 2 && line > 0 && column > 0);
        expect(as.a == NULL && as.n == 0);
    }
    free(text);
    return 0;
}
