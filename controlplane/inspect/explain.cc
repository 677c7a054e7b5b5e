// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "controlplane/tables/maglev.h"
#include "dataplane/contract/placement.h"

namespace sluice::control {

namespace {

std::string_view hashed_part(channel::HashOn hash_on) {
  switch (hash_on) {
    case channel::HashOn::kConnection:
      return "the client's address and port";
    case channel::HashOn::kClient:
      return "the client's address";
    case channel::HashOn::kClientPrefix:
      return "the client's prefix (/24 or /64)";
  }
  return "";
}

/// The table walk of one connection.
class Walk {
 public:
  Walk(const Model& model, const ServiceState& service, const Endpoint& client, const FlowsOf& flows)
      : model_(model), service_(service), flows_(flows) {
    const auto [placement, route] = model.way_of(service, {client.address.bytes});
    placement_ = placement;
    route_ = route;
    Desired desired = model.desired();
    secret_ = desired.placement_secret;
    for (DesiredBackend& backend : desired.backends) backends_.emplace(backend.key, backend);
    for (size_t i = 0; i < model.members().size(); i++) by_key_.emplace(model.members()[i].key, i);
    for (const DesiredService& known : desired.services) {
      if (known.key == service.key) wire_ = known;
    }
  }

  Explanation from(const Endpoint& client) {
    out_.service = service_.config.name;
    const Table& table = *placement_->table;
    out_.table_entries = static_cast<uint32_t>(table.entries.size());
    if (table.entries.empty()) {
      out_.rule = "no table: every new connection is refused";
      out_.why = "the pool is out of service: " + placement_->reason;
    } else {
      find_first(client);
      probe();
    }
    look_at_others();
    add_notes();
    if (out_.backend.empty() && taken_ == SIZE_MAX) out_.notes.emplace_back(told_instead());
    return std::move(out_);
  }

 private:
  void find_first(const Endpoint& client) {
    const channel::HashOn hash_on = effective_hash_on(wire_.scheduler, wire_.hash_on);
    first_ = table_index(placement_hash(client, wire_.vip, hash_on, secret_), out_.table_entries);
    switch (wire_.scheduler) {
      case channel::Scheduler::kMaglev:
      case channel::Scheduler::kSource:
        out_.rule =
            fmt::format("hash of {} and the VIP: entry {} of {}", hashed_part(hash_on), first_, out_.table_entries);
        return;
      case channel::Scheduler::kWrr:
        out_.rule = "in turn: the next entry of the worker's own round, whoever the client is";
        return;
      case channel::Scheduler::kLeastConn:
        out_.rule = "two entries drawn at random: the backend that has fewer flows for its weight";
        return;
    }
  }

  /// Whether the scheduler leaves the place to chance, as far as this process can know.
  bool is_open() const {
    return wire_.scheduler == channel::Scheduler::kWrr || wire_.scheduler == channel::Scheduler::kLeastConn;
  }

  void probe() {
    const Table& table = *placement_->table;
    for (uint32_t n = 0; n < kPlacementProbes; n++) {
      const uint32_t entry = (first_ + n) % out_.table_entries;
      const uint16_t member = table.entries[entry];
      const size_t index = member == kNobody ? SIZE_MAX : by_key_.at(table.members[member]);
      Explanation::Step step{entry, index == SIZE_MAX ? "" : model_.members()[index].label(), false, refusal(index)};
      step.is_taken = step.why.empty();
      if (step.is_taken) step.why = "in service";
      const bool repeats = !out_.steps.empty() && out_.steps.back().backend == step.backend;
      if (!repeats) out_.steps.push_back(step);
      if (!step.is_taken) continue;
      taken_ = index;
      if (is_open()) break;
      out_.backend = step.backend;
      out_.why = n == 0 ? fmt::format("entry {} is its", entry)
                        : fmt::format("entry {} is its, the first of {} tried that can take it", entry, n + 1);
      return;
    }
    if (!is_open()) {
      out_.why = fmt::format("refused: none of the {} entries tried can take it", kPlacementProbes);
    } else {
      out_.steps.clear();  // where the worker begins is not known
      out_.why = taken_ == SIZE_MAX ? "refused: no backend can take it"
                                    : "any of those with a share below; the client does not decide";
    }
  }

  /// Why the worker would pass over a member that the table names; "" if it would not.
  std::string refusal(size_t index) const {
    if (index == SIZE_MAX) return "the entry is nobody's";
    const Member& member = model_.members()[index];
    const DesiredBackend& backend = backends_.at(member.key);
    if ((backend.flags & channel::kBackendReachable) == 0) return "unreachable: " + member.reason();
    if ((backend.flags & channel::kBackendDown) != 0) return "down: " + member.health_reason;
    if ((backend.flags & channel::kBackendCut) != 0) return "disabled: " + member.reason();
    const auto flows = flows_(member);
    const uint32_t most = member.most_connections();
    if (most != 0 && flows && *flows >= most) {
      return fmt::format("full: {} flows of max_connections {}", *flows, most);
    }
    return "";
  }

  void look_at_others() {
    const Table& table = *placement_->table;
    for (size_t k = 0; k < placement_->members.size(); k++) {
      const size_t index = placement_->members[k];
      const Member& member = model_.members()[index];
      if (!is_open() && index == taken_) continue;
      Explanation::Other other{member.label(), std::string(member.state()), effective_weight(member.factors()), 0, ""};
      const auto entries = static_cast<double>(std::ranges::count(table.entries, static_cast<uint16_t>(k)));
      if (!table.entries.empty()) other.share = entries / static_cast<double>(table.entries.size());
      other.why_not = why_not(member, other);
      out_.others.push_back(std::move(other));
    }
  }

  std::string why_not(const Member& member, const Explanation::Other& other) const {
    if (!member.is_usable()) return fmt::format("{}: {}", member.state(), member.reason());
    if (other.effective_weight <= 0) {
      std::vector<std::string> zeros;
      if (member.weight_by_hand.value_or(member.weight) == 0) zeros.push_back("weight 0");
      for (const NamedFactor& factor : member.explained_factors()) {
        if (factor.value <= 0) zeros.push_back(fmt::format("{} 0{}", factor.name, in_brackets(factor.reason)));
      }
      return fmt::format("takes no new connections: {}", fmt::join(zeros, ", "));
    }
    std::string reason = refusal(by_key_.at(member.key));
    if (!reason.empty()) return reason;
    if (placement_->table->entries.empty()) return "the pool is out of service";
    return is_open() ? "may get it" : "its entries are others";
  }

  static std::string in_brackets(const std::string& text) { return text.empty() ? "" : " (" + text + ")"; }

  /// What a client hears that is refused.
  std::string told_instead() const {
    switch (wire_.on_no_backend) {
      case channel::OnNoBackend::k421:
        return fmt::format("the client is told \"421 {}\"", wire_.refusal);
      case channel::OnNoBackend::kReset:
        return "the client's SYN is answered with RST";
      case channel::OnNoBackend::kSilence:
        break;
    }
    return "the client's SYN is dropped without an answer";
  }

  void add_notes() {
    if (route_ != nullptr)
      out_.notes.push_back(fmt::format("by a route of sources.routes its clients go to pool \"{}\", not to \"{}\"",
                                       placement_->pool, service_.config.pool));
    for (const size_t i : placement_->members) {
      const Member& member = model_.members()[i];
      if (!member.zone_factor.reason.empty())
        out_.notes.push_back(fmt::format("{} has {:.0f}% of its weight: {}", member.label(),
                                         100 * member.zone_factor.value, member.zone_factor.reason));
    }
    if (wire_.scheduler == channel::Scheduler::kSource && route_ == nullptr) {
      out_.notes.emplace_back(
          "a backend with more than 5/4 of its share is passed over for the next entry; each worker counts its own "
          "flows");
    }
    out_.notes.emplace_back(
        "an open flow stays where it is, whatever the table says; and where this client's address and port already "
        "have a "
        "connection to the same backend through another VIP, the next entry's backend gets it");
  }

  const Model& model_;
  const ServiceState& service_;
  const Placement* placement_ = nullptr;
  const RouteState* route_ = nullptr;  // null: none names the client
  const FlowsOf& flows_;
  std::unordered_map<uint64_t, DesiredBackend> backends_;
  std::unordered_map<uint64_t, size_t> by_key_;
  DesiredService wire_;
  uint64_t secret_ = 0;  // the site's
  Explanation out_;
  uint32_t first_ = 0;
  size_t taken_ = SIZE_MAX;
};

}  // namespace

Explanation explain(const Model& model, const ServiceState& service, const Endpoint& client, const FlowsOf& flows) {
  return Walk(model, service, client, flows).from(client);
}

std::optional<Endpoint> endpoint_from(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = config::IpAddress::parse(host);
  if (!address || address->is_v4() == bracketed) return std::nullopt;
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port == 0) return std::nullopt;
  return Endpoint{to_wire(*address), Be16::of(port)};
}

}  // namespace sluice::control
