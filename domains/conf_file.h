/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conf_file.h: a file in libconfuse's language, read with one message for whatever is wrong in
 * it: "NAME:LINE: what", of the first thing, which is the cause. One file at a time, from one
 * thread: libconfuse gives its callbacks no argument of ours.
 */
#ifndef DOMAINS_CONF_FILE_H
#define DOMAINS_CONF_FILE_H

#include <confuse.h>

#include "base/base.h"

/* Begin a file of these options; validators may be set until conf_read. name: where the text
 * is, and what messages call it; it and err must last until conf_read. The caller ends it with
 * cfg_free. NULL: no memory, and err says so. */
must_check cfg_t *conf_open(cfg_opt_t *opts, const char *name, char *err, size_t err_len);

/* Read the file, or this text in its stead (NULL: the file). False: err says why. */
must_check bool conf_read(cfg_t *cfg, const char *text);

#endif
