// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/owner_table.h"

#include <gtest/gtest.h>
#include <rte_byteorder.h>
#include <rte_thash.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

/// As a card is given it.
std::array<uint8_t, 52> card_key() {
  std::array<uint8_t, 52> out{};
  for (size_t i = 0; i < out.size(); i++) out[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return out;
}

/// What Toeplitz hashing makes of 32-bit words in host order.
uint32_t toeplitz(std::vector<uint32_t> words) {
  return rte_softrss(words.data(), static_cast<uint32_t>(words.size()), card_key().data());
}

std::vector<uint32_t> words_of(const Address& address) {
  std::vector<uint32_t> out;
  for (size_t i = address.is_v4() ? 12 : 0; i < 16; i += 4) {
    uint32_t word;
    std::memcpy(&word, &address.bytes[i], 4);
    out.push_back(rte_be_to_cpu_32(word));
  }
  return out;
}

/// A card's input: the client's fields where they stand in a packet, the other side's left out as zeros. `first`: the
/// client is its source.
std::vector<uint32_t> in_place(const Endpoint& client, bool first) {
  const auto ours = words_of(client.address);
  const std::vector<uint32_t> none(ours.size(), 0);
  std::vector<uint32_t> out = first ? ours : none;
  out.insert(out.end(), first ? none.begin() : ours.begin(), first ? none.end() : ours.end());
  out.push_back(first ? uint32_t{client.port.host()} << 16 : client.port.host());
  return out;
}

/// Or one after the other.
std::vector<uint32_t> packed(const Endpoint& client) {
  auto out = words_of(client.address);
  out.push_back(uint32_t{client.port.host()} << 16);
  return out;
}

std::vector<Endpoint> some_clients(uint32_t n) {
  std::mt19937_64 random(::testing::UnitTest::GetInstance()->random_seed() + 11U);
  std::vector<Endpoint> out;
  for (uint32_t i = 0; i < n; i++) {
    Endpoint client;
    client.port = Be16{static_cast<uint16_t>(random())};
    if (i % 2 == 0) {
      client.address = Address::v4(Be32{static_cast<uint32_t>(random())});
    } else {
      for (uint8_t& byte : client.address.bytes) byte = static_cast<uint8_t>(random());
    }
    out.push_back(client);
  }
  return out;
}

TEST(OwnerHash, IsWhatCardsMakeOfAClientWhereverItsFieldsStand) {
  for (const Endpoint& client : some_clients(2000)) {
    const uint32_t both_halves = owner_hash_of(client) * 0x10001U;
    EXPECT_EQ(both_halves, toeplitz(packed(client)));
    EXPECT_EQ(both_halves, toeplitz(in_place(client, true)));
    EXPECT_EQ(both_halves, toeplitz(in_place(client, false)));
  }
}

TEST(OwnerHash, OfKnownClientsStaysWhatItIs) {
  // Kept flows and cards of all nodes agree on it.
  EXPECT_EQ(owner_hash_of(endpoint("0.0.0.0", 0)), 0);
  EXPECT_EQ(owner_hash_of(endpoint("0.0.0.0", 0x8000)), 0x6d5a);
  EXPECT_EQ(owner_hash_of(endpoint("0.0.0.0", 0x4000)), 0xdab4);
  EXPECT_EQ(owner_hash_of(endpoint("::", 0x8000)), 0x6d5a);
}

TEST(OwnerHash, TellsAllPortsOfAnAddressApart) {
  std::vector<bool> seen(65536);
  for (uint32_t port = 0; port < 65536; port++) {
    const uint16_t hash = owner_hash_of(endpoint("198.51.100.7", static_cast<uint16_t>(port)));
    EXPECT_FALSE(seen[hash]);
    seen[hash] = true;
  }
}

TEST(OwnerTable, DealsClassesEvenly) {
  for (const uint32_t workers : {1U, 2U, 3U, 7U, 64U}) {
    for (const uint32_t classes : {64U, 128U, 512U}) {
      const OwnerTable table({workers, classes}, 0x5eed);
      std::vector<uint32_t> has(workers);
      for (uint32_t number = 0; number < classes; number++) {
        ASSERT_LT(table.of_class(number), workers);
        has[table.of_class(number)]++;
      }
      const auto [least, most] = std::ranges::minmax(has);
      EXPECT_LE(most - least, 1u) << workers << " workers, " << classes << " classes";
    }
  }
}

TEST(OwnerTable, OfALargerRedirectionTableTheClassIsTheLowPartOfTheIndex) {
  const OwnerTable table({3, 128}, 0x5eed);
  for (const Endpoint& client : some_clients(200)) {
    const uint32_t index = (owner_hash_of(client) * 0x10001U) & 511;  // of a table with 512 entries
    EXPECT_EQ(table.of(client), table.of_class(index % 128));
  }
}

TEST(OwnerTable, EvenPortsOfOneAddressMeetAllWorkersAlike) {
  const OwnerTable table({4, 128}, 0x5eed);
  std::array<uint32_t, 4> has{};
  for (uint32_t port = 32768; port < 61000; port += 2)
    has[table.of(endpoint("198.51.100.7", static_cast<uint16_t>(port)))]++;
  const auto [least, most] = std::ranges::minmax(has);
  EXPECT_LT(most - least, 28232U / 8 / 10) << "a tenth of a worker's share";
}

TEST(OwnerTable, TheSecretSaysWhichWorkerAClassHas) {
  const OwnerTable one({4, 512}, 1), same({4, 512}, 1), other({4, 512}, 2);
  uint32_t differ = 0;
  for (uint32_t number = 0; number < 512; number++) {
    EXPECT_EQ(one.of_class(number), same.of_class(number));
    differ += one.of_class(number) != other.of_class(number) ? 1 : 0;
  }
  EXPECT_GT(differ, 300u);
}

TEST(OwnerTable, OfASecretStaysWhatItIs) {
  // Flows that an earlier version has left lie by it.
  const OwnerTable table({3, 64}, 42);
  std::string dealt;
  for (uint32_t number = 0; number < 64; number++) dealt += static_cast<char>('0' + table.of_class(number));
  EXPECT_EQ(dealt, "2011002120112222020110100011210002012122210010210011221100022212");
}

}  // namespace
}  // namespace sluice::testing
