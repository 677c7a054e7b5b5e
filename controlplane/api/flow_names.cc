// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/flow_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace sluice::control {

namespace {

constexpr std::array<std::string_view, 9> kStates{"free",       "syn_sent",   "syn_received", "adopted", "established",
                                                  "client_fin", "server_fin", "closed",       "reset"};
static_assert(kStates.size() == static_cast<size_t>(TcpState::kReset) + 1);

constexpr std::array<std::string_view, 15> kPhases{
    "new",           "answered",    "commands",        "commands_lost", "message", "message", "closing",  "tls_hello",
    "tls_handshake", "tls_confirm", "tls_established", "tls_failed",    "lost",    "ended",   "unwatched"};
static_assert(kPhases.size() == static_cast<size_t>(SmtpPhase::kCount));

/// By SmtpCommand: what the flow waits for in the phase of commands.
constexpr std::array<std::string_view, 13> kDue{"commands", "greeting", "ehlo",    "starttls", "auth",
                                                "mail",     "rcpt",     "data",    "message",  "message",
                                                "quit",     "commands", "commands"};
static_assert(kDue.size() == static_cast<size_t>(kLastSmtpCommand) + 1);

constexpr std::array<std::string_view, 6> kRules{"by the table's entry for this connection",
                                                 "by an entry after the one for this connection: that is not usable",
                                                 "in turn",
                                                 "the less loaded of two",
                                                 "by the table, in mid-stream",
                                                 "as another node has told, in mid-stream"};
static_assert(kRules.size() == static_cast<size_t>(channel::PlacedBy::kCount));

template <size_t kSize>
std::string_view at(const std::array<std::string_view, kSize>& names, size_t i) {
  return i < kSize ? names[i] : "unknown";
}

}  // namespace

std::string_view name_of(TcpState state) {
  return at(kStates, static_cast<size_t>(state));
}

std::string_view name_of(SmtpPhase phase) {
  return at(kPhases, static_cast<size_t>(phase));
}

std::string_view smtp_phase_name(const Flow& flow) {
  const auto phase = static_cast<SmtpPhase>(flow.smtp_phase);
  if (phase == SmtpPhase::kCommands) return at(kDue, flow.smtp_detail & kSmtpLow);
  return name_of(phase);
}

std::string_view words_for(channel::PlacedBy rule) {
  return at(kRules, static_cast<size_t>(rule));
}

std::string text_of(const Address& address) {
  config::IpAddress out;
  out.bytes = address.bytes;
  return out.to_string();
}

std::string text_of(const Endpoint& endpoint) {
  const std::string address = text_of(endpoint.address);
  return endpoint.address.is_v4() ? fmt::format("{}:{}", address, endpoint.port.host())
                                  : fmt::format("[{}]:{}", address, endpoint.port.host());
}

const ServiceState* service_of(const ApiContext& context, uint32_t worker, channel::ServiceId id) {
  const ChannelMapping* mapping = context.channel.mapping();
  if (mapping == nullptr || worker >= mapping->workers() || id >= channel::kMaxServices) return nullptr;
  const uint64_t key = mapping->worker_stats(worker).service_ids[id].key;
  const auto& services = context.model.services();
  const auto found = std::ranges::find_if(services, [&](const ServiceState& service) { return service.key == key; });
  if (key == 0 || found != services.end()) return key == 0 ? nullptr : &*found;
  const auto& removed = context.model.removed_services();
  const auto left = std::ranges::find(removed, key, &RemovedService::key);
  return left == removed.end() ? nullptr : &*left;
}

const Member* member_of(const ApiContext& context, uint32_t worker, channel::BackendId id, uint16_t generation) {
  const ChannelMapping* mapping = context.channel.mapping();
  if (mapping == nullptr || worker >= mapping->workers() || id >= channel::kMaxBackends) return nullptr;
  const channel::Identity& identity = mapping->worker_stats(worker).backend_ids[id];
  if (identity.key == 0 || identity.generation != generation) return nullptr;
  const auto& members = context.model.members();
  const auto found = std::ranges::find_if(members, [&](const Member& member) { return member.key == identity.key; });
  return found == members.end() ? nullptr : &*found;
}

std::expected<channel::ServiceId, std::string> service_id(const ApiContext& context, const std::string& name) {
  for (const ServiceState& service : context.model.services()) {
    if (service.config.name != name) continue;
    const Publisher* publisher = context.channel.publisher();
    const channel::ServiceId id = publisher == nullptr ? channel::kNoService : publisher->service_id(service.key);
    if (id != channel::kNoService) return id;
    return std::unexpected(fmt::format("the data plane does not know the service \"{}\" yet", name));
  }
  return std::unexpected(fmt::format("there is no service \"{}\"", name));
}

std::expected<std::map<channel::BackendId, uint16_t>, std::string> backend_ids(const ApiContext& context,
                                                                               const std::string& name) {
  std::set<std::string> pools;
  std::map<channel::BackendId, uint16_t> out;
  const ChannelMapping* mapping = context.channel.mapping();
  const Publisher* publisher = context.channel.publisher();
  for (const Member& member : context.model.members()) {
    if (member.name != name && member.pool + "/" + member.name != name) continue;
    if (!member.removal) pools.insert(member.pool);
    const channel::BackendId id = publisher == nullptr ? channel::kNoBackend : publisher->backend_id(member.key);
    if (id < channel::kMaxBackends && mapping != nullptr) {
      out[id] = mapping->worker_stats(0).backend_ids[id].generation;
    }
  }
  if (pools.empty()) return std::unexpected(fmt::format("there is no backend \"{}\"", name));
  if (pools.size() > 1) {
    return std::unexpected(
        fmt::format("several pools have a backend \"{}\"; say POOL/NAME, as {}/{}", name, *pools.begin(), name));
  }
  if (out.empty()) return std::unexpected(fmt::format("the data plane does not know the backend \"{}\" yet", name));
  return out;
}

}  // namespace sluice::control
