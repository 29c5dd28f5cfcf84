/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conf_file.c: libconfuse's errors as one message.
 */
#include "domains/conf_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of the file that is being read. */
static const char *file_name;
static char *err_buf;
static size_t err_size;

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    char what[256];
    vsnprintf(what, sizeof what, fmt, ap);
    if (err_buf[0] == '\0') /* the first one is the cause */
        snprintf(err_buf, err_size, "%s:%d: %s", file_name, cfg->line, what);
}

cfg_t *
conf_open(cfg_opt_t *opts, const char *name, char *err, size_t err_len)
{
    cfg_t *cfg = cfg_init(opts, CFGF_NONE);
    if (cfg == NULL) {
        snprintf(err, err_len, "%s: out of memory", name);
        return NULL;
    }
    err[0] = '\0';
    file_name = name;
    err_buf = err;
    err_size = err_len;
    cfg_set_error_function(cfg, on_error);
    return cfg;
}

bool
conf_read(cfg_t *cfg, const char *text)
{
    errno = 0;
    int rc = text != NULL ? cfg_parse_buf(cfg, text) : cfg_parse(cfg, file_name);
    if (rc == CFG_FILE_ERROR && err_buf[0] == '\0')
        snprintf(err_buf, err_size, "%s: %s", file_name, strerror(errno));
    else if (rc != CFG_SUCCESS && err_buf[0] == '\0')
        snprintf(err_buf, err_size, "%s: cannot be parsed", file_name);
    return rc == CFG_SUCCESS;
}
