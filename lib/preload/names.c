/* SPDX-License-Identifier: BSD-2-Clause */
#include "names.h"

#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- words of a file ---- */

struct words {
    const char *at, *end;
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word: its length, 0 at the end. What is in brackets is one word. */
static size_t
next_word(struct words *w, const char **word)
{
    while (w->at < w->end && is_blank(*w->at))
        w->at++;
    *word = w->at;
    bool inside = w->at < w->end && *w->at == '[';
    while (w->at < w->end && (inside || !is_blank(*w->at)) && (w->at == *word || *w->at != '['))
        if (*w->at++ == ']')
            break;
    return (size_t)(w->at - *word);
}

/* The next line, up to where a comment begins. False: there is none. */
static bool
next_line(struct words *file, const char *comments, struct words *line)
{
    if (file->at == file->end)
        return false;
    line->at = line->end = file->at;
    bool comment = false;
    for (; file->at < file->end && *file->at != '\n'; file->at++) {
        comment = comment || strchr(comments, *file->at) != NULL;
        if (!comment)
            line->end = file->at + 1;
    }
    if (file->at < file->end)
        file->at++;
    return true;
}

static bool
is_word(const char *word, size_t n, const char *what)
{
    return n == strlen(what) && strncasecmp(word, what, n) == 0;
}

/* ---- nsswitch.conf ---- */

static bool
is_local(const char *word, size_t n)
{
    static const char *const names[] = {"files",      "db",      "compat",       "myhostname",
                                        "mymachines", "libvirt", "libvirt_guest"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (is_word(word, n, names[i]))
            return true;
    return false;
}

/* "[NOTFOUND=return]" and "[!UNAVAIL=return]": who has not found ends the search. */
static bool
ends_search(const char *word, size_t n)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), word);
    return strcasestr(text, "NOTFOUND=return") != NULL ||
           (strcasestr(text, "!UNAVAIL=return") != NULL);
}

static void
order_line(struct names_order *o, struct words *line)
{
    const char *word;
    size_t n, used = 0;
    bool was_local = false;
    *o = (struct names_order){0};
    while ((n = next_word(line, &word)) > 0) {
        if (*word == '[') {
            if (was_local && !o->dns && ends_search(word, n))
                return;
        } else if (is_local(word, n)) {
            was_local = true;
            if (used + n + 2 > sizeof o->local)
                continue;
            int put = snprintf(o->local + used, sizeof o->local - used, "%s%.*s",
                               used > 0 ? " " : "", (int)n, word);
            used += put > 0 ? (size_t)put : 0;
        } else {
            was_local = false;
            /* resolve asks a daemon, which asks the DNS: we ask it ourselves. */
            if (!o->dns && (is_word(word, n, "dns") || is_word(word, n, "resolve"))) {
                o->dns = true;
                o->dns_first = used == 0;
            }
        }
    }
}

void
names_order_parse(struct names_order *o, const char *text, size_t len)
{
    struct words file = {text, text + len}, line;
    *o = (struct names_order){.dns = true, .local = "files"}; /* libc's default */
    while (next_line(&file, "#", &line)) {
        const char *word;
        size_t n = next_word(&line, &word);
        if (n >= 6 && strncasecmp(word, "hosts:", 6) == 0) {
            line.at = word + 6;
            order_line(o, &line);
            return;
        }
    }
}

/* ---- resolv.conf ---- */

static unsigned
small_number(const char *word, size_t n, unsigned max)
{
    unsigned v = 0;
    for (size_t i = 0; i < n && word[i] >= '0' && word[i] <= '9' && v <= max; i++)
        v = v * 10 + (unsigned)(word[i] - '0');
    return v < max ? v : max;
}

void
names_options_words(struct names_options *o, const char *text, size_t len)
{
    struct words line = {text, text + len};
    const char *word;
    for (size_t n; (n = next_word(&line, &word)) > 0;) {
        if (n > 8 && strncmp(word, "timeout:", 8) == 0)
            o->timeout = small_number(word + 8, n - 8, 30); /* libc's limits */
        else if (n > 9 && strncmp(word, "attempts:", 9) == 0)
            o->attempts = small_number(word + 9, n - 9, 5);
        else if (is_word(word, n, "use-vc"))
            o->use_vc = true;
    }
}

void
names_options_parse(struct names_options *o, const char *text, size_t len)
{
    struct words file = {text, text + len}, line;
    while (next_line(&file, "#;", &line)) {
        const char *word;
        size_t n = next_word(&line, &word);
        if (is_word(word, n, "options"))
            names_options_words(o, line.at, (size_t)(line.end - line.at));
    }
}

/* ---- what is a name ---- */

static bool
is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.' || c == '\\';
}

bool
names_is_host(const char *name)
{
    if (name[0] == '\0' || name[0] == '-')
        return false;
    while (is_name_char(*name))
        name++;
    return *name == '\0';
}

/* ---- what went wrong ---- */

int
names_eai(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
    case ARES_EBADSTR:
        return EAI_NONAME;
    case ARES_ENODATA:
        return EAI_NODATA;
    case ARES_ENOMEM:
        return EAI_MEMORY;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
    case ARES_ECANCELLED:
        return EAI_AGAIN;
    default:
        return EAI_FAIL;
    }
}

int
names_h_errno(int status)
{
    switch (names_eai(status)) {
    case 0:
        return NETDB_SUCCESS;
    case EAI_NONAME:
        return HOST_NOT_FOUND;
    case EAI_NODATA:
        return NO_DATA;
    case EAI_AGAIN:
        return TRY_AGAIN;
    case EAI_MEMORY:
        return NETDB_INTERNAL;
    default:
        return NO_RECOVERY;
    }
}

/* ---- struct hostent ---- */

struct room {
    char *at, *end;
};

static void *
take(struct room *r, size_t len, size_t align)
{
    size_t skip = (align - (uintptr_t)r->at % align) % align;
    if ((size_t)(r->end - r->at) < skip + len)
        return NULL;
    char *p = r->at + skip;
    r->at = p + len;
    return p;
}

static char *
take_text(struct room *r, const char *text)
{
    char *p = take(r, strlen(text) + 1, 1);
    return p == NULL ? NULL : strcpy(p, text);
}

int
names_pack(struct hostent *h, char *buf, size_t len, const struct names_answer *a,
           const char *name, int family)
{
    struct room r = {buf, buf + len};
    size_t size = family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    unsigned n = 0;
    char **addrs = take(&r, (a->n + 1) * sizeof *addrs, _Alignof(char *));
    char **aliases = take(&r, (a->n_aliases + 1) * sizeof *aliases, _Alignof(char *));
    char *official = take_text(&r, a->canon[0] != '\0' ? a->canon : name);
    if (addrs == NULL || aliases == NULL || official == NULL)
        return ERANGE;
    for (unsigned i = 0; i < a->n; i++) {
        if (a->addr[i].family != family)
            continue;
        addrs[n] = take(&r, size, _Alignof(struct in6_addr));
        if (addrs[n] == NULL)
            return ERANGE;
        memcpy(addrs[n++], &a->addr[i].in6, size);
    }
    addrs[n] = NULL;
    for (unsigned i = 0; i < a->n_aliases; i++)
        if ((aliases[i] = take_text(&r, a->alias[i])) == NULL)
            return ERANGE;
    aliases[a->n_aliases] = NULL;
    *h = (struct hostent){.h_name = official,
                          .h_aliases = aliases,
                          .h_addrtype = family,
                          .h_length = (int)size,
                          .h_addr_list = addrs};
    return 0;
}
