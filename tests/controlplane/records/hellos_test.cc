// SPDX-License-Identifier: Apache-2.0
//
// From pieces of ClientHellos to what is known of sessions.
#include "controlplane/records/hellos.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/controlplane/support/hello_bytes.h"
#include "tests/controlplane/support/hello_pieces.h"

namespace sluice::control {
namespace {

channel::SessionRecord record(uint16_t port, uint32_t begun_ms = 1000) {
  channel::SessionRecord out{};
  out.client = hello_client(port);
  out.notes.begun_ms = begun_ms;
  return out;
}

TEST(Hellos, ArePutTogetherFromPieces) {
  for (const size_t at_once : {1UL, 7UL, 484UL}) {
    Hellos hellos;
    for (const auto& piece : hello_pieces(browsers_hello().message(), 1, 1000, at_once)) hellos.take(0, piece);
    const auto hello = hellos.of(0, record(1));
    ASSERT_NE(hello, nullptr);
    EXPECT_EQ(hello->server_name, "mx.example.net");
    EXPECT_EQ(hellos.of(0, record(1)), nullptr) << "a session ends once";
    EXPECT_EQ(hellos.figures().read, 1u);
  }
}

TEST(Hellos, AreOfOneSessionAlone) {
  Hellos hellos;
  for (const auto& piece : hello_pieces(browsers_hello().message(), 1)) hellos.take(3, piece);
  EXPECT_EQ(hellos.of(3, record(2)), nullptr) << "another client";
  EXPECT_EQ(hellos.of(3, record(1, 1001)), nullptr) << "a later session of its port";
  EXPECT_EQ(hellos.of(2, record(1)), nullptr) << "another worker's";
  EXPECT_NE(hellos.of(3, record(1)), nullptr);
}

TEST(Hellos, WithoutAPieceAreNotGuessed) {
  const auto pieces = hello_pieces(browsers_hello().message(), 1, 1000, 50);
  for (size_t lost = 0; lost < pieces.size(); lost++) {
    Hellos hellos;
    for (size_t i = 0; i < pieces.size(); i++) {
      if (i != lost) hellos.take(0, pieces[i]);
    }
    EXPECT_EQ(hellos.of(0, record(1)), nullptr) << lost;
  }
}

TEST(Hellos, ThatMakeNoSenseAreCounted) {
  Hellos hellos;
  for (const auto& piece : hello_pieces("\x02 is a ServerHello", 1)) hellos.take(0, piece);
  std::string odd = HelloBytes().with(43, counted(1, "odd")).message();
  for (const auto& piece : hello_pieces(odd, 2)) hellos.take(0, piece);
  EXPECT_EQ(hellos.figures().unreadable, 2u);
  EXPECT_EQ(hellos.of(0, record(2)), nullptr);
}

TEST(Hellos, OfAFloodDisplaceTheOldestAndAreCounted) {
  Hellos hellos(3, 2);
  for (uint16_t port = 1; port <= 5; port++) {
    for (const auto& piece : hello_pieces(browsers_hello().message(), port)) hellos.take(0, piece);
  }
  EXPECT_EQ(hellos.figures().forgotten, 2u);
  EXPECT_EQ(hellos.of(0, record(2)), nullptr);
  EXPECT_NE(hellos.of(0, record(3)), nullptr);
  // Those that are never finished displace each other alone.
  for (uint16_t port = 10; port < 20; port++)
    hellos.take(0, hello_pieces(browsers_hello().message(), port, 1000, 9)[0]);
  EXPECT_EQ(hellos.figures().forgotten, 10u);
  EXPECT_NE(hellos.of(0, record(5)), nullptr);
}

}  // namespace
}  // namespace sluice::control
