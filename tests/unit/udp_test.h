/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp_test.h: what every UDP test begins and ends with. For Criterion tests, each with a
 * TestSuite(NAME, .init = setup, .fini = finish).
 */
#ifndef TESTS_UDP_TEST_H
#define TESTS_UDP_TEST_H

#include <criterion/criterion.h>

#include "udp_kit.h"

static struct kit k;
static uint8_t data[DGRAM_MAX + 8], back[DGRAM_MAX + 8];

static void
setup(void)
{
    kit_up(&k);
    kit_bytes(data, sizeof data);
}

static void
finish(void)
{
    cr_assert(udp_validate(k.u));
    kit_end(&k);
}

#endif
