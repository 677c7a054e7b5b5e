// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/fragmented.h"

#include <algorithm>
#include <map>

namespace sluice::testing {
namespace {

constexpr uint8_t kFragmentHeader = 44;

uint32_t get16(const Bytes& in, size_t at) {
  return (uint32_t{in.at(at)} << 8) | in.at(at + 1);
}
void set16(Bytes& out, size_t at, uint32_t value) {
  out.at(at) = static_cast<uint8_t>(value >> 8);
  out.at(at + 1) = static_cast<uint8_t>(value);
}
Bytes part(const Bytes& in, size_t from, size_t to) {
  return {in.begin() + static_cast<long>(from), in.begin() + static_cast<long>(to)};
}

size_t l3_of(const Bytes& frame) {
  return get16(frame, 12) == 0x8100 ? 18 : 14;
}
bool is_v4(const Bytes& frame) {
  return frame.at(l3_of(frame)) >> 4 == 4;
}

uint32_t header_checksum(const Bytes& frame, size_t l3) {
  uint32_t sum = 0;
  for (size_t i = 0; i < (frame.at(l3) & 0x0fU) * 4; i += 2) sum += get16(frame, l3 + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

void seal(Bytes& frame, size_t l3) {
  set16(frame, l3 + 10, 0);
  set16(frame, l3 + 10, header_checksum(frame, l3));
}

}  // namespace

std::vector<Bytes> cut(const Bytes& frame, size_t data_bytes, uint32_t id) {
  const size_t l3 = l3_of(frame);
  const size_t l4 = l3 + (is_v4(frame) ? (frame.at(l3) & 0x0fU) * 4 : 40);
  std::vector<Bytes> out;
  for (size_t at = l4; at < frame.size(); at += data_bytes) {
    const size_t end = std::min(at + data_bytes, frame.size());
    const auto offset = static_cast<uint32_t>(at - l4);
    const bool more = end < frame.size();
    Bytes fragment = part(frame, 0, l4);
    if (is_v4(frame)) {
      set16(fragment, l3 + 2, static_cast<uint32_t>(l4 - l3 + end - at));
      set16(fragment, l3 + 4, id);
      set16(fragment, l3 + 6, offset / 8 | (more ? 0x2000U : 0U));
      seal(fragment, l3);
    } else {
      fragment.resize(l4 + 8);
      fragment[l4] = fragment[l3 + 6];
      fragment[l3 + 6] = kFragmentHeader;
      set16(fragment, l3 + 4, static_cast<uint32_t>(8 + end - at));
      set16(fragment, l4 + 2, offset | (more ? 1U : 0U));
      set16(fragment, l4 + 4, id >> 16);
      set16(fragment, l4 + 6, id & 0xffff);
    }
    const Bytes data = part(frame, at, end);
    fragment.insert(fragment.end(), data.begin(), data.end());
    out.push_back(fragment);
  }
  return out;
}

std::optional<Bytes> join(const std::vector<Bytes>& fragments) {
  std::map<uint32_t, Bytes> parts;
  std::map<uint32_t, Bytes> headers;
  bool whole = false;
  for (const Bytes& fragment : fragments) {
    const size_t l3 = l3_of(fragment);
    const bool v4 = is_v4(fragment);
    if (v4 && header_checksum(fragment, l3) != 0) return std::nullopt;
    if (!v4 && fragment.at(l3 + 6) != kFragmentHeader) return std::nullopt;
    const size_t l4 = l3 + (v4 ? (fragment.at(l3) & 0x0fU) * 4 : 48);
    const uint32_t field = get16(fragment, v4 ? l3 + 6 : l4 - 6);
    const uint32_t offset = v4 ? (field & 0x1fff) * 8 : field & 0xfff8;
    whole |= (field & (v4 ? 0x2000 : 1)) == 0;
    parts[offset] = part(fragment, l4, fragment.size());
    headers[offset] = part(fragment, 0, l4);
  }
  if (!whole || !headers.contains(0)) return std::nullopt;
  Bytes out = headers[0];
  const size_t l3 = l3_of(out);
  const bool v4 = is_v4(out);
  for (const auto& [offset, header] : headers) {
    // All but length, offset and checksum agree, identification included.
    Bytes same = header;
    const auto excuse = [&](size_t at) {
      std::copy_n(out.begin() + static_cast<long>(at), 2, same.begin() + static_cast<long>(at));
    };
    excuse(l3 + (v4 ? 2 : 4));
    excuse(l3 + (v4 ? 6 : 42));
    if (v4) excuse(l3 + 10);
    if (same != out) return std::nullopt;
  }
  if (!v4) {
    out[l3 + 6] = out[l3 + 40];
    out.resize(l3 + 40);
  }
  const size_t l4 = out.size();
  for (const auto& [offset, data] : parts) {
    if (offset != out.size() - l4) return std::nullopt;
    out.insert(out.end(), data.begin(), data.end());
  }
  if (v4) {
    set16(out, l3 + 2, static_cast<uint32_t>(out.size() - l3));
    set16(out, l3 + 6, 0);
    seal(out, l3);
  } else {
    set16(out, l3 + 4, static_cast<uint32_t>(out.size() - l4));
  }
  return out;
}

}  // namespace sluice::testing
