// SPDX-License-Identifier: Apache-2.0
//
// Between what the workers write into flows and records, ids and enums, and what an operator calls them.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>

#include "controlplane/api/api.h"
#include "dataplane/contract/flow.h"
#include "dataplane/contract/trace.h"

namespace sluice::control {

/// "established", "client_fin", ...
std::string_view name_of(TcpState state);
/// "greeting", "mail", "message", "tls", ...: what the flow is about, as far as it is watched.
std::string_view smtp_phase_name(const Flow& flow);
std::string_view name_of(SmtpPhase phase);
/// "the table's entry for this connection", ...
std::string_view words_for(channel::PlacedBy rule);

/// "192.0.2.7", "2001:db8::7".
std::string text_of(const Address& address);
/// "192.0.2.7:40001", "[2001:db8::7]:40001".
std::string text_of(const Endpoint& endpoint);

/// What worker `worker` calls by these ids now; null if it is none of ours any more.
const ServiceState* service_of(const ApiContext& context, uint32_t worker, channel::ServiceId id);
const Member* member_of(const ApiContext& context, uint32_t worker, channel::BackendId id, uint16_t generation);

/// The id of the service of that name. The error, for the operator: there is none, or the data plane does not know it.
std::expected<channel::ServiceId, std::string> service_id(const ApiContext& context, const std::string& name);
/// Ids, with generations, of what the data plane calls the backend "POOL/NAME", or "NAME" if only one pool has it:
/// several if it is under several checks or ports. The error as above.
std::expected<std::map<channel::BackendId, uint16_t>, std::string> backend_ids(const ApiContext& context,
                                                                               const std::string& name);

}  // namespace sluice::control
