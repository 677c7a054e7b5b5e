// SPDX-License-Identifier: Apache-2.0
//
// What all messages of the DNS have in common (RFC 1035 section 4, RFC 4035 section 3.2.3). Pure.
#pragma once

#include <arpa/nameser.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <span>
#include <string>

namespace sluice::control {

/// Is shown a record and the message that it is in; false: it is malformed.
using TakeRecord = std::function<bool(const ns_msg& message, const ns_rr& record)>;

/// Shows the records of one type (as on the wire) in a section, aliases left out. The error says that the message is
/// malformed, or that a record is.
std::expected<void, std::string> for_each_record(std::span<const uint8_t> message, ns_sect section, int wire_type,
                                                 const TakeRecord& take);

/// RFC 2181 section 8.
std::chrono::seconds ttl_of(const ns_rr& record);

/// The AD bit of an answer: the resolver holds it for authentic. Of a question: it is to say so.
bool is_authentic_data(std::span<const uint8_t> message);
void set_authentic_data(std::span<uint8_t> question);

}  // namespace sluice::control
