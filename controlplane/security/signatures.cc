// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/signatures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <expected>
#include <span>
#include <utility>

#include "controlplane/discovery/dns_message.h"
#include "controlplane/discovery/dns_types.h"

namespace sluice::control {

namespace {

constexpr std::array<std::string_view, 5> kNames{"unknown", "signed", "not_signed", "none", "dns_fails"};
constexpr std::chrono::seconds kAbsenceHolds{300};

struct SignedAnswer {
  Signed state = Signed::kNone;
  std::chrono::seconds ttl = kAbsenceHolds;
};

/// An alias is part of the answer: the AD bit is about all of it (RFC 4035 section 3.2.3).
std::expected<SignedAnswer, std::string> signed_from(std::span<const uint8_t> message, int wire_type) {
  SignedAnswer out;
  const auto read = for_each_record(message, ns_s_an, wire_type, [&](const ns_msg&, const ns_rr& record) {
    out.ttl = out.state == Signed::kNone ? ttl_of(record) : std::min(out.ttl, ttl_of(record));
    out.state = is_authentic_data(message) ? Signed::kSigned : Signed::kNotSigned;
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return out;
}

}  // namespace

std::string_view name_of(Signed state) {
  return kNames[static_cast<size_t>(state)];
}

void Signatures::follow(const std::set<RecordSet>& wanted) {
  std::erase_if(watches_, [&](const auto& each) { return !wanted.contains(each.first); });
  std::erase_if(known_, [&](const auto& each) { return !wanted.contains(each.first); });
  for (const RecordSet& each : wanted) {
    known_.try_emplace(each);
    if (watches_.contains(each)) continue;
    watches_[each] =
        std::make_unique<RecordWatch>(io_, servers_, each.name, each.wire_type,
                                      [this, each](const Resolver::Message& answer) { return hear(each, answer); });
  }
}

std::chrono::seconds Signatures::hear(const RecordSet& of, const Resolver::Message& answer) {
  SignedKnown& known = known_[of];
  const auto found = answer ? signed_from(*answer, of.wire_type) : std::unexpected(answer.error());
  known.fault = found ? "" : found.error();
  if (!found) {
    if (!known.answered) known.state = Signed::kDnsFails;
    return std::chrono::seconds(0);
  }
  const Signed before = std::exchange(known.state, found->state);
  known.answered = journal_.now();
  const std::string_view type = name_of_wire_type(of.wire_type);
  if (known.state == Signed::kNotSigned && before != known.state)
    journal_.record(Severity::kWarning, "security", of.name,
                    fmt::format("its {} records are not signed: senders do without DANE", type));
  if (known.state == Signed::kSigned && before == Signed::kNotSigned)
    journal_.record(Severity::kInfo, "security", of.name, fmt::format("its {} records are signed", type));
  return found->ttl;
}

}  // namespace sluice::control
