// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/source_list.h"

#include <algorithm>

namespace sluice::control {

namespace {

using Number = unsigned __int128;

constexpr unsigned kMappedBits = 96;  // of a v4-mapped address
constexpr Number kLastV4 = 0xffff'ffff;
constexpr Number kLastV6 = ~Number{0};

/// Addresses of one family from the first to the last.
struct Range {
  Number first;
  Number last;
};

bool is_v4(const config::IpPrefix& prefix) {
  return Address{prefix.address.bytes}.is_v4();
}

Range range_of(const config::IpPrefix& prefix) {
  const bool v4 = is_v4(prefix);
  Number first = 0;
  for (size_t i = v4 ? kMappedBits / 8 : 0; i < prefix.address.bytes.size(); i++) {
    first = first << 8 | prefix.address.bytes[i];
  }
  const unsigned width = v4 ? 128 - kMappedBits : 128;
  const unsigned bits = prefix.bits - (128 - width);
  const Number hosts = bits == width ? 0 : (v4 ? kLastV4 : kLastV6) >> bits;
  return {first, first | hosts};
}

/// The prefixes' ranges in ascending order, what overlaps or touches merged.
std::vector<Range> ranges_of(std::span<const config::IpPrefix> prefixes, bool v4) {
  std::vector<Range> sorted;
  for (const config::IpPrefix& prefix : prefixes) {
    if (is_v4(prefix) == v4) sorted.push_back(range_of(prefix));
  }
  std::ranges::sort(sorted, {}, &Range::first);
  std::vector<Range> out;
  for (const Range& range : sorted) {
    if (!out.empty() && (out.back().last == kLastV6 || range.first <= out.back().last + 1)) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

/// What of `blocked` is not in `allowed`; both as ranges_of() gives them.
std::vector<Range> without(const std::vector<Range>& blocked, const std::vector<Range>& allowed) {
  std::vector<Range> out;
  auto hole = allowed.begin();
  for (Range left : blocked) {
    while (hole != allowed.end() && hole->last < left.first) ++hole;
    bool any = true;
    for (auto cut = hole; any && cut != allowed.end() && cut->first <= left.last; ++cut) {
      if (left.first < cut->first) out.push_back({left.first, cut->first - 1});
      any = cut->last < left.last;
      if (any) left.first = cut->last + 1;
    }
    if (any) out.push_back(left);
  }
  return out;
}

std::vector<Number> borders_of(std::span<const config::IpPrefix> blocked, std::span<const config::IpPrefix> allowed,
                               bool v4) {
  std::vector<Number> out;
  for (const Range& range : without(ranges_of(blocked, v4), ranges_of(allowed, v4))) {
    out.push_back(range.first);
    if (range.last != (v4 ? kLastV4 : kLastV6)) out.push_back(range.last + 1);
  }
  return out;
}

Address address_of(Number number, bool v4) {
  if (v4) return Address::v4(Be32::of(static_cast<uint32_t>(number)));
  Address out;
  for (size_t i = out.bytes.size(); i-- > 0; number >>= 8) out.bytes[i] = static_cast<uint8_t>(number);
  return out;
}

}  // namespace

std::shared_ptr<const SourceList> SourceList::of(std::span<const config::IpPrefix> blocked,
                                                 std::span<const config::IpPrefix> allowed) {
  const std::vector<Number> v4 = borders_of(blocked, allowed, true);
  const std::vector<Number> v6 = borders_of(blocked, allowed, false);
  auto out = std::make_shared<SourceList>();
  out->layout_ = channel::SourceListLayout::of(static_cast<uint32_t>(v4.size()), static_cast<uint32_t>(v6.size()));
  out->image_ = ArenaImage(out->layout_.bytes());
  out->layout_.write([&](uint32_t i) { return address_of(v4[i], true); },
                     [&](uint32_t i) { return address_of(v6[i], false); }, out->image_.data());
  return out;
}

bool SourceList::contains(const config::IpAddress& address) const {
  return channel::SourceListView{layout_, image_.data()}.contains({address.bytes});
}

}  // namespace sluice::control
