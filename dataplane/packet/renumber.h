// SPDX-License-Identifier: Apache-2.0
//
// Changes the numbers of a TCP segment by what stays the same for a whole connection, for two ends that count the same
// stream from different beginnings. The checksum is kept up to date (RFC 1624), so an error that a segment came with
// stays visible to its receiver.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/tcp_options.h"

namespace sluice {

/// What is added to each.
struct Renumbering {
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;  // and the edges of SACK blocks (RFC 2018)
  uint32_t timestamp = 0;        // value of the timestamps option (RFC 7323)
  uint32_t echo = 0;             // and what it echoes, where there is an acknowledgement
  int8_t window = 0;             // bits to the left; to the right if negative. At most 65535 comes out
};

/// Replaces fields of a TCP header, and in the end brings its checksum up to date for all of them at once: RFC 1624
/// equation 3, in which a word of 32 bits counts as its two halves.
class HeaderChange {
 public:
  explicit HeaderChange(uint8_t* tcp_header) noexcept : header_(tcp_header) {}
  ~HeaderChange() {
    if (changes_ == 0) return;
    store(header_ + tcp::kChecksum, apply_change(load<uint16_t>(header_ + tcp::kChecksum), changes_));
  }
  HeaderChange(const HeaderChange&) = delete;
  HeaderChange& operator=(const HeaderChange&) = delete;

  void set(uint8_t* field, uint32_t host_value) noexcept {
    const auto before = load<uint32_t>(field);
    const uint32_t after = Be32::of(host_value).raw;
    store(field, after);
    const uint64_t change = uint64_t{~before} + after;
    // At an odd offset, bytes change places within the words of the sum.
    changes_ += (field - header_) % 2 == 0 ? change : __builtin_bswap16(fold(change));
  }
  void add(uint8_t* field, uint32_t added) noexcept {
    if (added != 0) set(field, Be32{load<uint32_t>(field)}.host() + added);
  }
  void shift_window(int8_t bits) noexcept {
    if (bits == 0) return;
    uint8_t* field = header_ + tcp::kWindow;
    const Be16 before{load<uint16_t>(field)};
    const uint32_t wide = bits > 0 ? uint32_t{before.host()} << bits : uint32_t{before.host()} >> -bits;
    const Be16 after = Be16::of(static_cast<uint16_t>(std::min(wide, uint32_t{0xffff})));
    store(field, after.raw);
    changes_ += uint64_t{static_cast<uint16_t>(~before.raw)} + after.raw;
  }

 private:
  uint8_t* header_;
  uint64_t changes_ = 0;
};

/// Replaces a 32-bit field of a TCP segment, at any offset of it, with the checksum.
inline void replace_word(uint8_t* tcp_header, uint8_t* field, uint32_t host_value) noexcept {
  HeaderChange(tcp_header).set(field, host_value);
}

/// Renumbers the options of a segment, of whatever kinds and in whatever order.
void renumber_options(HeaderChange& change, uint8_t* tcp_header, uint32_t header_bytes, const Renumbering& by) noexcept;

/// Renumbers a segment that is no SYN. `header_bytes`: of its TCP header, options included.
inline void renumber(uint8_t* tcp_header, uint32_t header_bytes, const Renumbering& by) noexcept {
  HeaderChange change(tcp_header);
  const bool acknowledges = (tcp_header[tcp::kFlags] & kTcpAck) != 0;
  change.add(tcp_header + tcp::kSequence, by.sequence);
  if (acknowledges) change.add(tcp_header + tcp::kAck, by.acknowledgement);
  change.shift_window(by.window);
  if (header_bytes == tcp::kBytes || (by.acknowledgement | by.timestamp | by.echo) == 0) return;
  if (has_only_timestamps(tcp_header, header_bytes)) {
    change.add(tcp_header + kTimestampsValueAt, by.timestamp);
    if (acknowledges) change.add(tcp_header + kTimestampsEchoAt, by.echo);
    return;
  }
  renumber_options(change, tcp_header, header_bytes, by);
}

}  // namespace sluice
