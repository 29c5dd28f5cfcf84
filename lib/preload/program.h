/* SPDX-License-Identifier: BSD-2-Clause
 *
 * program.h: can a library be preloaded into a program?
 */
#ifndef PRELOAD_PROGRAM_H
#define PRELOAD_PROGRAM_H

#include "base/base.h"

#define PROGRAM_PATH_MAX 4096u

/* What shells exit with. */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

/* The file that execvp(3) would take for name. 0, or the exit code, and err says why. */
int program_find(const char *name, char path[PROGRAM_PATH_MAX], char *err, size_t err_len);

/* Whether what is at path, or for a script what interprets it, obeys LD_PRELOAD for a library
 * of the same kind as like (an open ELF file). *shell: neither a program nor a script with a #!
 * line, a shell is to run it. 0, or the exit code, and err says why not. */
int program_check(const char *path, int like, bool *shell, char *err, size_t err_len);

#endif
