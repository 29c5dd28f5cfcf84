/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_json.h: the supervisor's answers to bulkheadctl. The caller owns what is returned.
 */
#ifndef DOMAINS_SUP_JSON_H
#define DOMAINS_SUP_JSON_H

#include <jansson.h>

#include "sup.h"

json_t *sup_json_status(struct sup *s);
json_t *sup_json_stats(struct sup *s);
json_t *sup_json_policy(const struct sup *s);
/* One line of a session list. */
json_t *sup_json_session(const struct sup *s, const struct sess_info *i);

#endif
