// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/renumber.h"

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/tcp_options.h"

namespace sluice {
namespace {

constexpr uint16_t fold32(uint32_t word) {
  return fold((word & 0xffff) + (word >> 16));
}

void add_to(uint8_t* tcp_header, uint8_t* field, uint32_t added) {
  if (added != 0) replace_word(tcp_header, field, Be32{load<uint32_t>(field)}.host() + added);
}

void shift_window(uint8_t* tcp_header, int8_t bits) {
  if (bits == 0) return;
  uint8_t* field = tcp_header + tcp::kWindow;
  const Be16 before{load<uint16_t>(field)};
  const uint32_t wide = bits > 0 ? uint32_t{before.host()} << bits : uint32_t{before.host()} >> -bits;
  const Be16 after = Be16::of(static_cast<uint16_t>(std::min(wide, uint32_t{0xffff})));
  store(field, after.raw);
  const auto checksum = load<uint16_t>(tcp_header + tcp::kChecksum);
  store(tcp_header + tcp::kChecksum, update_checksum(checksum, before.raw, after.raw));
}

}  // namespace

void replace_word(uint8_t* tcp_header, uint8_t* field, uint32_t host_value) noexcept {
  uint16_t before = fold32(load<uint32_t>(field));
  const uint32_t word = Be32::of(host_value).raw;
  uint16_t after = fold32(word);
  store(field, word);
  if ((field - tcp_header) % 2 != 0) {  // the bytes change places within their words of the sum
    before = __builtin_bswap16(before);
    after = __builtin_bswap16(after);
  }
  const auto checksum = load<uint16_t>(tcp_header + tcp::kChecksum);
  store(tcp_header + tcp::kChecksum, update_checksum(checksum, before, after));
}

void renumber(uint8_t* tcp_header, uint32_t header_bytes, const Renumbering& by) noexcept {
  const bool acknowledges = (tcp_header[tcp::kFlags] & kTcpAck) != 0;
  add_to(tcp_header, tcp_header + tcp::kSequence, by.sequence);
  if (acknowledges) add_to(tcp_header, tcp_header + tcp::kAck, by.acknowledgement);
  shift_window(tcp_header, by.window);
  if (header_bytes == tcp::kBytes || (by.acknowledgement | by.timestamp | by.echo) == 0) return;
  for_each_option(tcp_header, header_bytes, [&](uint32_t at, uint32_t bytes) {
    if (tcp_header[at] == tcp_option::kSack) {
      for (uint32_t edge = at + 2; edge + 4 <= at + bytes; edge += 4)
        add_to(tcp_header, tcp_header + edge, by.acknowledgement);
    } else if (tcp_header[at] == tcp_option::kTimestamps && bytes == tcp_option::kTimestampsBytes) {
      add_to(tcp_header, tcp_header + at + 2, by.timestamp);
      if (acknowledges) add_to(tcp_header, tcp_header + at + 6, by.echo);
    }
  });
}

}  // namespace sluice
