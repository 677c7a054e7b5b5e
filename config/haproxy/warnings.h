// SPDX-License-Identifier: Apache-2.0
//
// What was wrong in a haproxy.cfg for SMTP, whether it can be converted or not.
#pragma once

#include "config/haproxy/proxies.h"
#include "config/imports/draft.h"

namespace sluice::config::haproxy {

using imports::DraftCheck;

inline constexpr uint16_t kRelay = 25, kSubmissions = 465, kSubmission = 587;

/// Ports that do not fit, inspection that holds sessions, time-outs that cut them: of `proxy`, which listens at `bind`
/// and leads to `backend`.
void warn_of_service(const Balanced& proxy, const Balanced& backend, const Bind& bind, Remarks& remarks);

/// Servers that are not had through `bind` as they were through HAProxy.
void warn_of_servers(const Balanced& backend, const Bind& bind, Remarks& remarks);

/// Settings that differ from those of the backend's first server, and are one for all here.
void warn_of_difference(const Server& server, const Server& first, Remarks& remarks);

/// Checks that see too little or wait too briefly. `check` was made from the settings of `checked`.
void warn_of_check(const Balanced& backend, const Server& checked, const DraftCheck& check, Remarks& remarks);

}  // namespace sluice::config::haproxy
