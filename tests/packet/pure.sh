#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: what TCP sends, segment by segment, as the RFCs say (tests/packet/CLAUSES.md), in
# virtual time. What the running stack sends: tests/netns/test_packet.sh.
set -u
exec "${top_builddir:-.}/tests/packet/run_pure" "${top_srcdir:-.}"/tests/packet/scripts/*.pkt
