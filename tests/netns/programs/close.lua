-- SPDX-License-Identifier: BSD-2-Clause
-- For wrk: each request on a connection of its own. A server that reloads may close an idle
-- connection at the moment when the next request on it is under way, which HTTP allows.
wrk.headers["Connection"] = "close"
