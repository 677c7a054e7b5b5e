// SPDX-License-Identifier: Apache-2.0
//
// Over the messages of a netlink datagram, and over the attributes of one. Whatever lengths they name, nothing beyond
// the bytes that there are is read.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice::control::netlink {

/// Calls `visit(header)` for each whole message.
template <typename Visit>
void each_message(std::span<const uint8_t> bytes, Visit visit) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
    // Not mnl_nlmsg_ok: it takes a length above 2 GiB for a negative one, and lets it pass.
    if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > bytes.size()) return;
    visit(header);
    bytes = bytes.subspan(std::min<size_t>(NLMSG_ALIGN(header->nlmsg_len), bytes.size()));
  }
}

/// Why a dump ends before all is told (an errno); 0 if it is whole.
inline int error_of_done(const nlmsghdr* done) {
  if (mnl_nlmsg_get_payload_len(done) < sizeof(int)) return 0;
  int result;
  std::memcpy(&result, mnl_nlmsg_get_payload(done), sizeof result);
  return result < 0 && result != INT_MIN ? -result : 0;
}

/// Calls `visit(attribute, type)` for each attribute from `first` to `end`.
template <typename Visit>
void each_attribute(const void* first, const void* end, Visit visit) {
  const auto* attribute = static_cast<const nlattr*>(first);
  const auto left = [&] { return static_cast<const char*>(end) - reinterpret_cast<const char*>(attribute); };
  while (mnl_attr_ok(attribute, static_cast<int>(left()))) {
    visit(attribute, mnl_attr_get_type(attribute));
    attribute = mnl_attr_next(attribute);
  }
}

/// Of a message, behind `payload_bytes` of fixed part.
template <typename Visit>
void each_attribute(const nlmsghdr* header, size_t payload_bytes, Visit visit) {
  // Not where libmnl sees the end: it is padded.
  each_attribute(mnl_nlmsg_get_payload_offset(header, payload_bytes),
                 reinterpret_cast<const char*>(header) + header->nlmsg_len, visit);
}

/// Of those within another.
template <typename Visit>
void each_attribute_in(const nlattr* nested, Visit visit) {
  const auto* first = static_cast<const char*>(mnl_attr_get_payload(nested));
  each_attribute(first, first + mnl_attr_get_payload_len(nested), visit);
}

}  // namespace sluice::control::netlink
