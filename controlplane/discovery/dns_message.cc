// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/dns_message.h"

namespace sluice::control {

namespace {

constexpr size_t kSecondFlags = 3;  // byte of RA, Z, AD, CD and RCODE
constexpr uint8_t kAuthenticData = 0x20;

}  // namespace

std::expected<void, std::string> for_each_record(std::span<const uint8_t> message, ns_sect section, int wire_type,
                                                 const TakeRecord& take) {
  const auto malformed = [] { return std::unexpected("the answer is malformed"); };
  ns_msg parsed;
  if (ns_initparse(message.data(), static_cast<int>(message.size()), &parsed) != 0) return malformed();
  for (int i = 0; i < ns_msg_count(parsed, section); i++) {
    ns_rr record;
    if (ns_parserr(&parsed, section, i, &record) != 0) return malformed();
    if (static_cast<int>(ns_rr_type(record)) != wire_type || ns_rr_class(record) != ns_c_in) continue;
    if (!take(parsed, record)) return malformed();
  }
  return {};
}

std::chrono::seconds ttl_of(const ns_rr& record) {
  return std::chrono::seconds(ns_rr_ttl(record) & 0x7fffffff);
}

bool is_authentic_data(std::span<const uint8_t> message) {
  return message.size() > kSecondFlags && (message[kSecondFlags] & kAuthenticData) != 0;
}

void set_authentic_data(std::span<uint8_t> question) {
  if (question.size() > kSecondFlags) question[kSecondFlags] |= kAuthenticData;
}

}  // namespace sluice::control
