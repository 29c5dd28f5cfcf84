/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sanitized.h: is this a build with a sanitizer whose run-time needs more than a domain has?
 */
#ifndef DOMAINS_SANITIZED_H
#define DOMAINS_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
