// SPDX-License-Identifier: Apache-2.0
//
// The sources that may not begin sessions, as control lays them into the arena and workers look into it: for each
// family the borders of the blocked ranges, in ascending order. Those at even places begin a range, those at odd
// places end one (they are the first address behind it); so an address is blocked if an odd number of borders is not
// above it. What is exempt has been cut out already.
//
// Borders lie in a static B+ tree (S. Slotin, Algorithms for Modern Hardware, "Static B-Trees"): the lowest layer is
// the sorted array itself, in nodes of one cache line; a layer above holds, for each node below but every node's
// first, its first border. A look-up reads one line per layer, at most seven. A /32 costs 8.5 bytes, an IPv6 prefix
// 34. DPDK's rte_fib would take a kilobyte for each /24 with a host in it, and rte_fib6 several for each /64.
//
// Control may write while a worker reads: every place is held within its layer, so that the worst is a wrong answer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "dataplane/contract/address.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace sluice::channel {

/// Of the prefixes in a list, of both families together; each has at most two borders.
inline constexpr uint32_t kMaxSourcePrefixes = 1U << 20;
inline constexpr uint32_t kMaxSourceBorders = 2 * kMaxSourcePrefixes;

/// Where the layers of a tree over `keys` lie. Lowest first.
template <typename Key>
struct SourceTree {
  static constexpr uint32_t kFan = 64 / sizeof(Key);  // keys of a node
  static constexpr uint32_t kLayersMax = 8;
  static constexpr size_t kAtOnce = 16;
  static constexpr Key kLast = std::numeric_limits<Key>::max();

  uint32_t keys = 0;
  uint32_t layers = 0;
  uint32_t nodes = 0;                        // in all
  std::array<uint32_t, kLayersMax> first{};  // node of each layer
  std::array<uint32_t, kLayersMax> last{};   // place within it of its last node

  /// `keys` <= kMaxSourceBorders.
  static constexpr SourceTree of(uint32_t keys) {
    SourceTree out;
    out.keys = keys;
    uint32_t in_layer = (keys + kFan - 1) / kFan;
    while (in_layer != 0) {
      out.first[out.layers] = out.nodes;
      out.last[out.layers++] = in_layer - 1;
      out.nodes += in_layer;
      in_layer = in_layer == 1 ? 0 : (in_layer + kFan) / (kFan + 1);
    }
    return out;
  }

  /// Writes `nodes` nodes: `sorted` is keys of them, ascending.
  void build(const Key* sorted, Key* out) const {
    if (layers == 0) return;
    std::fill_n(out, size_t{nodes} * kFan, kLast);
    std::copy_n(sorted, keys, out);
    uint64_t span = kFan;  // keys below a child
    for (uint32_t layer = 1; layer < layers; layer++) {
      Key* const layer_out = out + size_t{first[layer]} * kFan;
      for (uint32_t place = 0; place < (last[layer] + 1) * kFan; place++) {
        const uint64_t child = uint64_t{place / kFan} * (kFan + 1) + place % kFan + 1;
        if (child * span < keys) layer_out[place] = sorted[child * span];
      }
      span *= kFan + 1;
    }
  }

  /// How many keys are not above `key`.
  uint32_t count_to(const Key* tree, Key key) const noexcept {
    if (layers == 0) return 0;
    uint32_t node = 0;
    for (uint32_t layer = layers - 1; layer > 0; layer--) {
      const uint32_t child = count_in(tree + size_t{first[layer] + node} * kFan, key);
      node = std::min(node * (kFan + 1) + child, last[layer - 1]);
    }
    return std::min(node * kFan + count_in(tree + size_t{node} * kFan, key), keys);
  }

  /// The same of several keys at once, at most kAtOnce: what one waits for from memory is fetched while others are
  /// looked up. In `found`, which may not be `wanted`'s.
  void count_to(const Key* tree, std::span<const Key> wanted, std::span<uint32_t> found) const noexcept {
    const size_t n = wanted.size();
    std::fill_n(found.begin(), n, 0U);
    if (layers == 0) return;
    for (uint32_t layer = layers - 1; layer > 0; layer--) {
      for (size_t i = 0; i < n; i++) {
        const uint32_t child = count_in(tree + size_t{first[layer] + found[i]} * kFan, wanted[i]);
        found[i] = std::min(found[i] * (kFan + 1) + child, last[layer - 1]);
        __builtin_prefetch(tree + size_t{first[layer - 1] + found[i]} * kFan);
      }
    }
    for (size_t i = 0; i < n; i++)
      found[i] = std::min(found[i] * kFan + count_in(tree + size_t{found[i]} * kFan, wanted[i]), keys);
  }

 private:
  /// How many of a node's keys are not above `key`.
  static uint32_t count_in(const Key* node, Key key) noexcept {
#ifdef __AVX2__
    const __m256i left = _mm256_load_si256(reinterpret_cast<const __m256i*>(node));
    const __m256i right = _mm256_load_si256(reinterpret_cast<const __m256i*>(node) + 1);
    if constexpr (sizeof(Key) == 4) {
      const __m256i wanted = _mm256_set1_epi32(static_cast<int32_t>(key));
      const __m256i left_is = _mm256_cmpeq_epi32(_mm256_min_epu32(left, wanted), left);
      const __m256i right_is = _mm256_cmpeq_epi32(_mm256_min_epu32(right, wanted), right);
      const int bits = _mm256_movemask_epi8(_mm256_packs_epi32(left_is, right_is));  // two of each key
      return static_cast<uint32_t>(__builtin_popcount(static_cast<uint32_t>(bits))) / 2;
    } else {
      const __m256i sign = _mm256_set1_epi64x(std::numeric_limits<int64_t>::min());  // comparisons are of signed words
      const __m256i wanted = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<int64_t>(key)), sign);
      const __m256i left_above = _mm256_cmpgt_epi64(_mm256_xor_si256(left, sign), wanted);
      const __m256i right_above = _mm256_cmpgt_epi64(_mm256_xor_si256(right, sign), wanted);
      const int bits = _mm256_movemask_epi8(_mm256_packs_epi32(left_above, right_above));  // four of each key
      return kFan - static_cast<uint32_t>(__builtin_popcount(static_cast<uint32_t>(bits))) / 4;
    }
#endif
    uint32_t out = 0;
    for (uint32_t i = 0; i < kFan; i++) out += node[i] <= key ? 1 : 0;
    return out;
  }
};

/// Where the parts of a list lie, from its start, which is aligned to a cache line: the tree of IPv4 borders, the tree
/// of the upper halves of IPv6 borders, their lower halves.
struct SourceListLayout {
  SourceTree<uint32_t> v4;
  SourceTree<uint64_t> v6;

  static constexpr SourceListLayout of(uint32_t v4_borders, uint32_t v6_borders) {
    return {SourceTree<uint32_t>::of(v4_borders), SourceTree<uint64_t>::of(v6_borders)};
  }
  constexpr size_t v6_offset() const { return size_t{v4.nodes} * 64; }
  constexpr size_t lows_offset() const { return v6_offset() + size_t{v6.nodes} * 64; }
  constexpr size_t bytes() const { return lows_offset() + (size_t{v6.keys} * sizeof(uint64_t) + 63) / 64 * 64; }
};

/// A list in memory, to look into.
struct SourceListView {
  SourceListLayout layout;
  const std::byte* base = nullptr;  // null: it is empty

  bool contains(const Address& source) const noexcept {
    if (base == nullptr) return false;
    if (source.is_v4()) {
      return (layout.v4.count_to(reinterpret_cast<const uint32_t*>(base), source.v4_part().host()) & 1) != 0;
    }
    const V6 of = halves(source);
    const uint32_t below = of.high == 0 ? 0 : layout.v6.count_to(highs(), of.high - 1);
    return (count_from(below, of) & 1) != 0;
  }

  /// The same of several sources at once, all of one family and at most kAtOnce: in `found`.
  void contains(std::span<const Address* const> sources, std::span<bool> found) const noexcept {
    const size_t n = sources.size();
    std::fill_n(found.begin(), n, false);
    if (base == nullptr || n == 0) return;
    std::array<uint32_t, kAtOnce> counts;
    if (sources[0]->is_v4()) {
      std::array<uint32_t, kAtOnce> keys;
      for (size_t i = 0; i < n; i++) keys[i] = sources[i]->v4_part().host();
      layout.v4.count_to(reinterpret_cast<const uint32_t*>(base), std::span(keys).first(n), counts);
      for (size_t i = 0; i < n; i++) found[i] = (counts[i] & 1) != 0;
      return;
    }
    std::array<uint64_t, kAtOnce> keys;
    for (size_t i = 0; i < n; i++) keys[i] = halves(*sources[i]).high - 1;
    layout.v6.count_to(highs(), std::span(keys).first(n), counts);
    for (size_t i = 0; i < n; i++) {
      __builtin_prefetch(highs() + counts[i]);
      __builtin_prefetch(lows() + counts[i]);
    }
    for (size_t i = 0; i < n; i++) {
      const V6 of = halves(*sources[i]);
      found[i] = (count_from(of.high == 0 ? 0 : counts[i], of) & 1) != 0;
    }
  }
  static constexpr size_t kAtOnce = SourceTree<uint32_t>::kAtOnce;

 private:
  static constexpr uint32_t kFewHosts = 8;  // borders in one /64 that are looked at one after the other

  /// The halves of an IPv6 address, in host order.
  struct V6 {
    uint64_t high, low;
  };
  static V6 halves(const Address& source) noexcept {
    std::array<uint64_t, 2> words;
    std::memcpy(words.data(), source.bytes.data(), sizeof words);
    return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
  }
  const uint64_t* highs() const noexcept { return reinterpret_cast<const uint64_t*>(base + layout.v6_offset()); }
  const uint64_t* lows() const noexcept { return reinterpret_cast<const uint64_t*>(base + layout.lows_offset()); }

  /// How many IPv6 borders are not above an address: those with a lower upper half, `begin` of them, and of those with
  /// the same the ones whose lower half is not above its own.
  uint32_t count_from(uint32_t begin, V6 of) const noexcept {
    const auto [high, low] = of;
    const uint64_t* const highs = this->highs();
    if (begin == layout.v6.keys || highs[begin] != high) [[likely]]
      return begin;
    const uint64_t* const lows = this->lows();
    for (const uint32_t near = begin + kFewHosts; begin < near; begin++) {
      if (begin == layout.v6.keys || highs[begin] != high || lows[begin] > low) return begin;
    }
    uint32_t end = layout.v6.count_to(highs, high);
    while (begin < end) {
      const uint32_t middle = begin + (end - begin) / 2;
      if (lows[middle] <= low) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }
};

static_assert(SourceTree<uint32_t>::of(kMaxSourceBorders).layers <= SourceTree<uint32_t>::kLayersMax);
static_assert(SourceTree<uint64_t>::of(kMaxSourceBorders).layers == 7);

}  // namespace sluice::channel
