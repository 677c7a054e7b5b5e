// SPDX-License-Identifier: Apache-2.0
//
// HAProxy's ways to check a server, as far as they are about mail: `option smtpchk`, `option ssl-hello-chk`, and the
// steps of `option tcp-check`.
#pragma once

#include "config/haproxy/file.h"
#include "config/haproxy/proxies.h"

namespace sluice::config::haproxy {

/// Whether an `option` line is about checks.
bool is_check_option(const Line& line);

/// Takes such a line; others change nothing. It holds for the section's steps before it, too: read it first.
void read_check_option(const Line& line, CheckPlan& plan, Remarks& remarks);

/// Takes a `tcp-check` line.
void read_check_step(const Line& line, CheckPlan& plan, Remarks& remarks);

}  // namespace sluice::config::haproxy
