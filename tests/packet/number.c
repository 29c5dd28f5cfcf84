/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number.c: numbers, sums of products of them, and times.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "script.h"

static bool
number_factor(struct parser *p, const char **c, int64_t *v)
{
    if (isdigit((unsigned char)**c)) {
        char *end;
        errno = 0;
        *v = strtoll(*c, &end, 0);
        *c = end;
        return errno == 0 && *v <= (int64_t)1 << 40;
    }
    size_t n = 0;
    while (isalpha((unsigned char)(*c)[n]))
        n++;
    for (unsigned i = 0; i < p->n_symbols && n != 0; i++)
        if (strlen(p->symbol[i].name) == n && strncmp(p->symbol[i].name, *c, n) == 0) {
            *v = p->symbol[i].v;
            *c += n;
            return true;
        }
    return false;
}

static bool
number_term(struct parser *p, const char **c, int64_t *v)
{
    int64_t more;
    if (!number_factor(p, c, v))
        return false;
    while (**c == '*') {
        ++*c;
        if (!number_factor(p, c, &more) || __builtin_mul_overflow(*v, more, v))
            return false;
    }
    return true;
}

bool
parse_number(struct parser *p, const char *text, int64_t *v)
{
    const char *c = text;
    int sign = 1;
    *v = 0;
    if (*c == '-' || *c == '+')
        sign = *c++ == '-' ? -1 : 1;
    for (;;) {
        int64_t term;
        if (!number_term(p, &c, &term) || __builtin_add_overflow(*v, sign * term, v))
            return parse_fail(p, "\"%s\" is not a number", text);
        if (*c == '\0')
            return true;
        if (*c != '+' && *c != '-')
            return parse_fail(p, "\"%s\" is not a number", text);
        sign = *c++ == '-' ? -1 : 1;
    }
}

bool
parse_time(struct parser *p, const char *text, ns_t *t)
{
    char *end;
    double s = isdigit((unsigned char)*text) ? strtod(text, &end) : -1;
    if (s < 0 || s > 1e6 || *end != '\0')
        return parse_fail(p, "\"%s\" is not a time in seconds", text);
    *t = (ns_t)(s * 1e9 + 0.5);
    return true;
}
