// SPDX-License-Identifier: Apache-2.0
//
// The list as control builds it, looked into as workers do.
#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <array>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "controlplane/tables/source_list.h"

#include "tests/support/seed.h"

namespace sluice::control {
namespace {

config::IpAddress address(const std::string& text) {
  config::IpAddress out;
  if (inet_pton(AF_INET6, text.c_str(), out.bytes.data()) == 1) return out;
  out.bytes[10] = out.bytes[11] = 0xff;
  EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &out.bytes[12]), 1) << text;
  return out;
}

config::IpPrefix prefix(const std::string& text) {
  const size_t slash = text.find('/');
  const config::IpAddress of = address(text.substr(0, slash));
  return {of, static_cast<uint8_t>(std::stoi(text.substr(slash + 1)) + (Address{of.bytes}.is_v4() ? 96 : 0))};
}

std::shared_ptr<const SourceList> list(const std::vector<std::string>& blocked,
                                       const std::vector<std::string>& allowed = {}) {
  std::vector<config::IpPrefix> block, allow;
  for (const auto& text : blocked) block.push_back(prefix(text));
  for (const auto& text : allowed) allow.push_back(prefix(text));
  return SourceList::of(block, allow);
}

struct Case {
  const char* what;
  std::vector<std::string> blocked;
  std::vector<std::string> allowed;
  std::vector<std::string> out;
  std::vector<std::string> in;
};

TEST(SourceList, SaysWhoIsBlocked) {
  const std::vector<Case> cases{
      {"nobody", {}, {}, {}, {"0.0.0.0", "192.0.2.1", "::", "2001:db8::1"}},
      {"one prefix of each family",
       {"192.0.2.0/24", "2001:db8::/32"},
       {},
       {"192.0.2.0", "192.0.2.255", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
       {"192.0.1.255", "192.0.3.0", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "::ffff"}},
      {"all of IPv4 is none of IPv6", {"0.0.0.0/0"}, {}, {"0.0.0.0", "255.255.255.255"}, {"::", "ffff::"}},
      {"all of IPv6 is none of IPv4",
       {"::/0"},
       {},
       {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
       {"0.0.0.0", "255.255.255.255"}},
      {"both ends of the space",
       {"0.0.0.0/32", "255.255.255.255/32", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
       {},
       {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
       {"0.0.0.1", "255.255.255.254", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"}},
      {"duplicates, overlaps and neighbours",
       {"10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "10.0.0.0/9", "11.0.0.0/32"},
       {},
       {"10.0.0.0", "10.127.255.255", "10.128.0.0", "10.255.255.255", "11.0.0.0"},
       {"9.255.255.255", "11.0.0.1"}},
      {"exempt within what is blocked",
       {"198.51.0.0/16", "2001:db8::/32"},
       {"198.51.100.0/24", "2001:db8:1::/48"},
       {"198.51.99.255", "198.51.101.0", "2001:db8:2::"},
       {"198.51.100.0", "198.51.100.255", "2001:db8:1::5"}},
      {"exempt although a longer prefix blocks it", {"198.51.100.7/32"}, {"198.51.100.0/24"}, {}, {"198.51.100.7"}},
      {"exempt across several",
       {"10.0.0.0/25", "10.0.0.128/26", "10.0.1.0/24"},
       {"10.0.0.64/26", "10.0.0.128/25"},
       {"10.0.0.63", "10.0.1.0"},
       {"10.0.0.64", "10.0.0.128", "10.0.0.255"}},
      {"hosts of one /64",
       {"2001:db8::1/128", "2001:db8::3/128", "2001:db8::5/128", "2001:db8::fffe/127"},
       {},
       {"2001:db8::1", "2001:db8::3", "2001:db8::5", "2001:db8::fffe", "2001:db8::ffff"},
       {"2001:db8::", "2001:db8::2", "2001:db8::4", "2001:db8::6", "2001:db8:0:1::1", "2001:db7::1"}},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    const auto built = list(each.blocked, each.allowed);
    for (const auto& text : each.out) EXPECT_TRUE(built->contains(address(text))) << text;
    for (const auto& text : each.in) EXPECT_FALSE(built->contains(address(text))) << text;
  }
}

TEST(SourceList, AgreesWithALoopOverThePrefixes) {
  const uint64_t seed = test_seed();
  std::mt19937 random(seed);
  SCOPED_TRACE(how_to_repeat(seed));
  for (const size_t count : {1, 2, 15, 16, 17, 271, 272, 273, 3000}) {
    for (const bool v4 : {true, false}) {
      const auto draw = [&] {
        config::IpAddress out;
        if (v4) out.bytes[10] = out.bytes[11] = 0xff;
        // Few values per byte, so that prefixes meet.
        for (size_t i = v4 ? 12 : 0; i < 16; i++) out.bytes[i] = static_cast<uint8_t>(random() % 4 * 85);
        return out;
      };
      const auto draw_prefix = [&] {
        config::IpPrefix out{draw(), static_cast<uint8_t>(random() % (v4 ? 22 : 110) + (v4 ? 107 : 19))};
        for (unsigned bit = out.bits; bit < 128; bit++) {
          out.address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> bit % 8));
        }
        return out;
      };
      std::vector<config::IpPrefix> blocked, allowed;
      for (size_t i = 0; i < count; i++) blocked.push_back(draw_prefix());
      for (size_t i = 0; i < count / 4; i++) allowed.push_back(draw_prefix());
      const auto built = SourceList::of(blocked, allowed);
      const auto covers = [](const std::vector<config::IpPrefix>& prefixes, const config::IpAddress& of) {
        return std::ranges::any_of(prefixes, [&](const config::IpPrefix& prefix) {
          for (unsigned bit = 0; bit < prefix.bits; bit++) {
            if (((prefix.address.bytes[bit / 8] ^ of.bytes[bit / 8]) & (0x80U >> bit % 8)) != 0) return false;
          }
          return true;
        });
      };
      for (int i = 0; i < 2000; i++) {
        config::IpAddress asked = draw();
        if (i % 2 == 1) asked.bytes[15] = static_cast<uint8_t>(asked.bytes[15] + i);
        ASSERT_EQ(built->contains(asked), covers(blocked, asked) && !covers(allowed, asked)) << count << " " << i;
      }
    }
  }
}

TEST(SourceList, SaysTheSameOfSeveralAtOnce) {
  const uint64_t seed = test_seed();
  std::mt19937 random(seed);
  SCOPED_TRACE(how_to_repeat(seed));
  for (const size_t count : {0, 1, 16, 17, 300, 5000}) {
    for (const bool v4 : {true, false}) {
      const auto draw = [&] {
        Address out{};
        if (v4) return Address::v4(Be32::of(static_cast<uint32_t>(random() % 20'000)));
        out.bytes = {0x20, 1};
        for (const size_t i : {6, 7, 15}) out.bytes[i] = static_cast<uint8_t>(random() % 64);
        return out;
      };
      std::vector<config::IpPrefix> blocked;
      for (size_t i = 0; i < count; i++) blocked.push_back({{draw().bytes}, 128});
      blocked.push_back({{Address{}.bytes}, 128});  // the very first of IPv6
      const auto built = SourceList::of(blocked, {});
      const channel::SourceListView view{built->layout(), built->image().data()};
      for (size_t n = 0; n <= channel::SourceListView::kAtOnce; n++) {
        std::vector<Address> asked;
        for (size_t i = 0; i < n; i++) asked.push_back(v4 || i != 3 ? draw() : Address{});
        std::array<const Address*, channel::SourceListView::kAtOnce> some{};
        std::array<bool, channel::SourceListView::kAtOnce> found{};
        for (size_t i = 0; i < n; i++) some[i] = &asked[i];
        view.contains(std::span(some).first(n), found);
        for (size_t i = 0; i < n; i++)
          ASSERT_EQ(found[i], view.contains(asked[i])) << count << ": " << i << " of " << n;
      }
    }
  }
}

/// A list that control spoils while it is looked into gives a wrong answer, and that is all: nothing beyond it is read
/// (AddressSanitizer says so).
TEST(SourceList, StaysWithinAListOfGarbage) {
  std::mt19937_64 random(7);
  for (const uint32_t borders : {1U, 9U, 17U, 100U, 5000U}) {
    const auto layout = channel::SourceListLayout::of(borders, borders);
    struct alignas(64) Line {
      uint64_t words[8];
    };
    std::vector<Line> lines(layout.bytes() / sizeof(Line));
    const std::span garbage(lines.data()->words, layout.bytes() / 8);
    for (uint64_t& word : garbage) word = random();
    const channel::SourceListView view{layout, reinterpret_cast<const std::byte*>(lines.data())};
    for (int i = 0; i < 2000; i++) {
      Address asked;
      const uint64_t words[2] = {i % 2 == 0 ? __builtin_bswap64(garbage[random() % garbage.size()]) : random(),
                                 random()};
      std::memcpy(asked.bytes.data(), words, sizeof words);
      (void)view.contains(asked);
      (void)view.contains(Address::v4(Be32::of(static_cast<uint32_t>(random()))));
      bool found = false;
      const Address* const one = &asked;
      view.contains(std::span(&one, 1), std::span(&found, 1));
    }
  }
}

}  // namespace
}  // namespace sluice::control
