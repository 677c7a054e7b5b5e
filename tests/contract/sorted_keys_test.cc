// SPDX-License-Identifier: Apache-2.0
//
// Sorted keys, beside a binary search over them: scattered, crowded, both, and at the ends of what a key can be.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <new>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/contract/sorted_keys.h"

#include "tests/support/seed.h"

namespace sluice::channel {
namespace {

template <typename Key>
class SortedKeysTest : public ::testing::Test {
 protected:
  using Layout = SortedKeys<Key>;
  static constexpr Key kLast = std::numeric_limits<Key>::max();

  /// Keys in lines of memory of their own, as the arena has them.
  class Image {
   public:
    explicit Image(std::vector<Key> keys) {
      std::ranges::sort(keys);
      keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
      sorted = std::move(keys);
      layout = Layout::of(static_cast<uint32_t>(sorted.size()));
      lines.resize(layout.nodes);
      std::ranges::copy(sorted, base());
      layout.build(base());
    }
    Key* base() { return reinterpret_cast<Key*>(lines.data()); }

    std::vector<Key> sorted;
    Layout layout;
    struct alignas(64) Line {
      std::array<std::byte, 64> bytes{};
    };
    std::vector<Line> lines;
  };

  std::vector<Key> scattered(size_t count) {
    std::vector<Key> out(count);
    for (Key& key : out) key = static_cast<Key>(random());
    return out;
  }
  /// `crowds` stretches of `each` keys, three apart.
  std::vector<Key> crowded(size_t crowds, size_t each) {
    std::vector<Key> out;
    for (size_t crowd = 0; crowd < crowds; crowd++) {
      const Key begin = static_cast<Key>(random()) / 2;
      for (size_t i = 0; i < each; i++) out.push_back(begin + static_cast<Key>(3 * i));
    }
    return out;
  }

  void expect_counts(const std::string& what, std::vector<Key> keys) {
    SCOPED_TRACE(what);
    Image image(std::move(keys));
    std::vector<Key> asked{0, 1, kLast - 1, kLast};
    for (int i = 0; i < 3000; i++) asked.push_back(static_cast<Key>(random()));
    for (int i = 0; i < 1000 && !image.sorted.empty(); i++) {
      const Key near = image.sorted[random() % image.sorted.size()];
      for (const Key key : {static_cast<Key>(near - 1), near, static_cast<Key>(near + 1)}) asked.push_back(key);
    }
    std::vector<uint32_t> wanted;
    for (const Key key : asked) {
      wanted.push_back(static_cast<uint32_t>(std::ranges::upper_bound(image.sorted, key) - image.sorted.begin()));
      ASSERT_EQ(image.layout.count_to(image.base(), key), wanted.back()) << key;
    }
    for (size_t i = 0; i < asked.size();) {
      const size_t n = std::min(asked.size() - i, i % (Layout::kAtOnce + 1));
      std::array<uint32_t, Layout::kAtOnce> found{};
      image.layout.count_to(image.base(), std::span<const Key>(asked).subspan(i, n), found);
      for (size_t k = 0; k < n; k++) ASSERT_EQ(found[k], wanted[i + k]) << asked[i + k] << ", of " << n;
      i += std::max<size_t>(n, 1);
    }
  }

  std::mt19937_64 random{test_seed()};
};

using Keys = ::testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(SortedKeysTest, Keys);

TYPED_TEST(SortedKeysTest, AreCountedAsABinarySearchCountsThem) {
  SCOPED_TRACE(how_to_repeat(test_seed()));
  for (const size_t count : {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 127, 128, 129, 271, 273, 5000, 100'000})
    this->expect_counts(std::to_string(count) + " scattered", this->scattered(count));
  this->expect_counts("a crowd", this->crowded(1, 5000));
  this->expect_counts("many crowds", this->crowded(200, 300));
  std::vector<TypeParam> both = this->scattered(20'000);
  for (const TypeParam key : this->crowded(20, 500)) both.push_back(key);
  this->expect_counts("crowds among scattered ones", both);
}

TYPED_TEST(SortedKeysTest, MayBeTheFirstAndTheLastThatThereAre) {
  const TypeParam last = this->kLast;
  this->expect_counts("the first", {0});
  this->expect_counts("the last", {last});
  this->expect_counts("both", {0, last});
  std::vector<TypeParam> all_but_the_middle;
  for (TypeParam i = 0; i < 100; i++) {
    all_but_the_middle.push_back(i);
    all_but_the_middle.push_back(last - i);
  }
  this->expect_counts("a hundred of each", all_but_the_middle);
}

TYPED_TEST(SortedKeysTest, HoldEveryPlaceWhateverIsWrittenMeanwhile) {
  typename TestFixture::Image image(this->scattered(3000));
  for (int round = 0; round < 200; round++) {
    for (auto& line : image.lines) {
      for (std::byte& one : line.bytes) one = static_cast<std::byte>(this->random());
    }
    std::array<TypeParam, TestFixture::Layout::kAtOnce> asked;
    for (TypeParam& key : asked) key = static_cast<TypeParam>(this->random());
    std::array<uint32_t, TestFixture::Layout::kAtOnce> found{};
    image.layout.count_to(image.base(), asked, found);
    for (size_t i = 0; i < asked.size(); i++) {
      EXPECT_LE(found[i], image.layout.keys);
      EXPECT_LE(image.layout.count_to(image.base(), asked[i]), image.layout.keys);
    }
  }
}

}  // namespace
}  // namespace sluice::channel
