// SPDX-License-Identifier: Apache-2.0
//
// Sorted keys that control writes and workers read: how many of them are not above one that is asked for.
//
// They lie in a static B+ tree (S. Slotin, Algorithms for Modern Hardware, "Static B-Trees"): the lowest layer is the
// sorted array itself, in nodes of one cache line; a layer above holds, for each node below but every node's first, its
// first key. A look-up reads one line per layer, at most seven.
//
// Where keys are scattered, a shorter way leads past the tree: their span is cut into equal stretches, and an index
// says how many keys lie before each. One whose keys lie in one node or in two is compared with all of these,
// which takes two or three lines. One with more, as of a network many of whose hosts are named, is left to the tree.
//
// Control may write while a worker reads: every place is held within its layer, so that the worst is a wrong answer.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace sluice::channel {

inline constexpr uint32_t kMaxSortedKeys = 1U << 21;

/// Where `keys` sorted keys and what leads to them lie.
template <typename Key>
struct SortedKeys {
  static constexpr uint32_t kFan = 64 / sizeof(Key);  // keys of a node
  static constexpr uint32_t kLayersMax = 8;
  static constexpr uint32_t kOfStretch = kFan / 4;  // keys of a stretch, in the mean
  static constexpr size_t kAtOnce = 16;
  static constexpr Key kLast = std::numeric_limits<Key>::max();

  uint32_t keys = 0;
  uint32_t layers = 0;
  uint32_t nodes = 0;                        // in all, with the index
  std::array<uint32_t, kLayersMax> first{};  // node of each layer
  std::array<uint32_t, kLayersMax> last{};   // place within it of its last node
  uint32_t index = 0;                        // its first node: Cut, then the counts
  uint32_t stretches = 0;  // a power of two, of two at least: each is then shorter than what a key can be

  /// `keys` <= kMaxSortedKeys.
  static constexpr SortedKeys of(uint32_t keys) {
    SortedKeys out;
    out.keys = keys;
    uint32_t in_layer = (keys + kFan - 1) / kFan;
    while (in_layer != 0) {
      out.first[out.layers] = out.nodes;
      out.last[out.layers++] = in_layer - 1;
      out.nodes += in_layer;
      in_layer = in_layer == 1 ? 0 : (in_layer + kFan) / (kFan + 1);
    }
    if (keys == 0) return out;
    out.index = out.nodes;
    out.stretches = std::bit_ceil(std::max(keys / kOfStretch, 2U));
    out.nodes += 1 + (out.stretches + kCountsOfNode) / kCountsOfNode;
    return out;
  }

  /// Writes what leads to the keys behind them: the first `keys` of the memory of `nodes` nodes, ascending.
  void build(Key* out) const {
    if (layers == 0) return;
    const Key* const sorted = out;
    std::fill(out + keys, out + size_t{nodes} * kFan, kLast);
    uint64_t span = kFan;  // keys below a child
    for (uint32_t layer = 1; layer < layers; layer++) {
      Key* const layer_out = out + size_t{first[layer]} * kFan;
      for (uint32_t place = 0; place < (last[layer] + 1) * kFan; place++) {
        const uint64_t child = uint64_t{place / kFan} * (kFan + 1) + place % kFan + 1;
        if (child * span < keys) layer_out[place] = sorted[child * span];
      }
      span *= kFan + 1;
    }
    build_index(sorted, out);
  }

  /// How many keys are not above `key`.
  uint32_t count_to(const Key* base, Key key) const noexcept {
    if (layers == 0) return 0;
    if (cut(base).is_off != 0) return count_by_tree(base, key);
    const Stretch in = stretch(base, stretch_of(base, key));
    return in.is_short() ? count_from(base, in, key) : count_by_tree(base, key);
  }

  /// The same of several keys at once, at most kAtOnce: what one waits for from memory is fetched while others are
  /// looked up. In `found`, which may not be `wanted`'s.
  void count_to(const Key* base, std::span<const Key> wanted, std::span<uint32_t> found) const noexcept {
    const size_t n = wanted.size();
    if (layers == 0) return std::fill_n(found.begin(), n, 0U), void();
    if (cut(base).is_off != 0) return count_by_tree(base, wanted, found);
    std::array<Stretch, kAtOnce> in;
    for (size_t i = 0; i < n; i++) {
      found[i] = stretch_of(base, wanted[i]);
      __builtin_prefetch(counts(base) + found[i]);
    }
    uint32_t crowded = 0;
    for (size_t i = 0; i < n; i++) {
      in[i] = stretch(base, found[i]);
      crowded += in[i].is_short() ? 0 : 1;
      __builtin_prefetch(base + size_t{in[i].first} * kFan);
      __builtin_prefetch(base + size_t{in[i].second} * kFan);
    }
    for (size_t i = 0; i < n; i++) found[i] = count_from(base, in[i], wanted[i]);
    if (crowded != 0) count_crowded(base, wanted, in, found);
  }

 private:
  static constexpr uint32_t kCountsOfNode = 64 / sizeof(uint32_t);

  /// How the span of the keys is cut.
  struct Cut {
    Key begin;        // of the first stretch
    uint32_t shift;   // a stretch holds 2^shift keys that might be
    uint32_t is_off;  // so many keys lie in crowds that the tree is the shorter way
  };
  /// The nodes that its keys lie in, where the counts say so: one, or two that follow each other.
  struct Stretch {
    uint32_t first, second;
    bool is_short() const noexcept { return second - first <= 1; }
  };

  const Cut& cut(const Key* base) const noexcept { return *reinterpret_cast<const Cut*>(base + size_t{index} * kFan); }
  /// How many keys lie before each stretch, and behind the last.
  const uint32_t* counts(const Key* base) const noexcept {
    return reinterpret_cast<const uint32_t*>(base + (size_t{index} + 1) * kFan);
  }

  uint32_t stretch_of(const Key* base, Key key) const noexcept {
    const Cut& by = cut(base);
    if (key < by.begin) return 0;
    return static_cast<uint32_t>(std::min<Key>((key - by.begin) >> (by.shift % (8 * sizeof(Key))), stretches - 1));
  }
  Stretch stretch(const Key* base, uint32_t number) const noexcept {
    const uint32_t begin = std::min(counts(base)[number] / kFan, last[0]);
    return {begin, std::clamp(counts(base)[number + 1] / kFan, begin, last[0])};
  }

  void build_index(const Key* sorted, Key* out) const {
    auto& by = *reinterpret_cast<Cut*>(out + size_t{index} * kFan);
    by = {.begin = sorted[0], .shift = 0, .is_off = 0};
    while ((sorted[keys - 1] - by.begin) >> by.shift >= stretches) by.shift++;
    auto* const before = reinterpret_cast<uint32_t*>(out + (size_t{index} + 1) * kFan);
    uint32_t number = 0;
    for (uint32_t i = 0; i < keys; i++) {
      for (const Key last_number = (sorted[i] - by.begin) >> by.shift; number <= last_number; number++)
        before[number] = i;
    }
    while (number <= stretches) before[number++] = keys;
    uint32_t crowded = 0;
    for (uint32_t i = 0; i < stretches; i++) crowded += stretch(out, i).is_short() ? 0 : before[i + 1] - before[i];
    by.is_off = crowded > keys / 4 ? 1 : 0;
  }

  /// In one stretch, which is_short(). What lies in its nodes before it is not above the key, what lies behind it is.
  uint32_t count_from(const Key* base, Stretch in, Key key) const noexcept {
    const uint32_t in_first = count_in(base + size_t{in.first} * kFan, key);
    const uint32_t in_second = count_in(base + size_t{in.second} * kFan, key);
    return std::min(in.first * kFan + in_first + (in.second == in.first ? 0 : in_second), keys);
  }

  /// Those of several keys whose stretches are not short.
  [[gnu::noinline]] void count_crowded(const Key* base, std::span<const Key> wanted, std::span<const Stretch> in,
                                       std::span<uint32_t> found) const noexcept {
    std::array<Key, kAtOnce> keys_of;
    std::array<uint32_t, kAtOnce> of, place;
    size_t n = 0;
    for (size_t i = 0; i < wanted.size(); i++) {
      keys_of[n] = wanted[i];
      of[n] = static_cast<uint32_t>(i);
      n += in[i].is_short() ? 0 : 1;
    }
    count_by_tree(base, std::span<const Key>(keys_of).first(n), place);
    for (size_t i = 0; i < n; i++) found[of[i]] = place[i];
  }

  uint32_t count_by_tree(const Key* base, Key key) const noexcept {
    uint32_t node = 0;
    for (uint32_t layer = layers - 1; layer > 0; layer--) {
      const uint32_t child = count_in(base + size_t{first[layer] + node} * kFan, key);
      node = std::min(node * (kFan + 1) + child, last[layer - 1]);
    }
    return std::min(node * kFan + count_in(base + size_t{node} * kFan, key), keys);
  }

  void count_by_tree(const Key* base, std::span<const Key> wanted, std::span<uint32_t> found) const noexcept {
    const size_t n = wanted.size();
    std::fill_n(found.begin(), n, 0U);
    for (uint32_t layer = layers - 1; layer > 0; layer--) {
      for (size_t i = 0; i < n; i++) {
        const uint32_t child = count_in(base + size_t{first[layer] + found[i]} * kFan, wanted[i]);
        found[i] = std::min(found[i] * (kFan + 1) + child, last[layer - 1]);
        __builtin_prefetch(base + size_t{first[layer - 1] + found[i]} * kFan);
      }
    }
    for (size_t i = 0; i < n; i++)
      found[i] = std::min(found[i] * kFan + count_in(base + size_t{found[i]} * kFan, wanted[i]), keys);
  }

  /// How many of kFan keys are not above `key`.
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

static_assert(SortedKeys<uint32_t>::of(kMaxSortedKeys).layers <= SortedKeys<uint32_t>::kLayersMax);
static_assert(SortedKeys<uint64_t>::of(kMaxSortedKeys).layers == 7);

}  // namespace sluice::channel
