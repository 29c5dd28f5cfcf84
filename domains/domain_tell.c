/* SPDX-License-Identifier: BSD-2-Clause
 *
 * domain_tell.c: what a domain says to the supervisor, which is all that it can say to anybody.
 */
#undef NDEBUG
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "domain.h"

#define NOTICE_BURST 20u
#define NOTICE_EVERY (NS_S / 2) /* one more may be said */

static bool confined;

void
domain_tell_start(struct domain *d)
{
    d->notice_at = domain_now();
    d->notice_left = NOTICE_BURST;
    confined = true;
}

static bool __attribute__((format(printf, 3, 0)))
send_text(enum ctl_type type, uint32_t arg, const char *fmt, va_list ap)
{
    struct ctl_msg m = {.type = (uint16_t)type};
    m.text.arg = arg;
    vsnprintf(m.text.text, sizeof m.text.text, fmt, ap);
    return ctl_send(DOMAIN_CTL_FD, &m, NULL) == 0;
}

void
domain_fatal(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (confined) { /* there is no other way out */
        (void)send_text(CTL_NOTICE, NOTICE_LOG, fmt, ap);
    } else {
        char line[256] = "bulkhead domain: ";
        size_t at = strlen(line);
        int n = vsnprintf(line + at, sizeof line - at - 1, fmt, ap);
        at += n > 0 ? min_u32((uint32_t)n, (uint32_t)(sizeof line - at - 2)) : 0;
        line[at++] = '\n';
        n = (int)write(STDERR_FILENO, line, at);
    }
    va_end(ap);
    _exit(EXIT_OTHER);
}

/* What assert() and the compiler's stack protector call; see domain_fatal in domain.h. */
void
__assert_fail(const char *expression, const char *file, unsigned line, const char *function)
{
    domain_fatal("assertion failed: %s (%s:%u, %s)", expression, file, line, function);
}

_Noreturn void __stack_chk_fail(void);
void
__stack_chk_fail(void)
{
    domain_fatal("stack overrun");
}

static bool
notice_allowed(struct domain *d)
{
    ns_t now = domain_now();
    if (now - d->notice_at >= NOTICE_EVERY) {
        uint64_t more = (now - d->notice_at) / NOTICE_EVERY;
        d->notice_left = (unsigned)min_u64(d->notice_left + more, NOTICE_BURST);
        d->notice_at = now;
    }
    if (d->notice_left == 0) {
        d->notice_lost++;
        return false;
    }
    d->notice_left--;
    return true;
}

void
domain_notice(struct domain *d, enum ctl_notice what, const char *fmt, ...)
{
    va_list ap;
    /* Only talk is limited; what the supervisor acts on always goes out. */
    if (what == NOTICE_LOG && !notice_allowed(d))
        return;
    if (what == NOTICE_LOG && d->notice_lost > 0) {
        unsigned lost = d->notice_lost;
        d->notice_lost = 0;
        domain_notice(d, NOTICE_LOG, "(%u notices left out)", lost);
    }
    va_start(ap, fmt);
    (void)send_text(CTL_NOTICE, what, fmt, ap);
    va_end(ap);
}

void
domain_poisoned(struct domain *d, uint32_t who, const char *fmt, ...)
{
    va_list ap;
    stat_inc(d->stats, STAT_poisoned);
    va_start(ap, fmt);
    (void)send_text(CTL_POISONED, who, fmt, ap);
    va_end(ap);
}
