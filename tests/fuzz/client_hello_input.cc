// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/records/hellos.h"
#include "controlplane/records/ja4.h"
#include "tests/controlplane/support/hello_pieces.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

namespace {

std::shared_ptr<const control::ClientHello> from_pieces(std::string_view content, size_t at_once) {
  control::Hellos hellos;
  for (const auto& piece : control::hello_pieces(content, 1, 1000, at_once)) hellos.take(0, piece);
  channel::SessionRecord record{};
  record.client = control::hello_client(1);
  record.notes.begun_ms = 1000;
  return hellos.of(0, record);
}

}  // namespace

void play_client_hello(FuzzInput bytes) {
  if (bytes.empty()) return;
  constexpr size_t kMost = 60'000;  // `at` has 16 bits
  const std::string content = text_of(bytes.first(std::min(bytes.size(), kMost)));
  const auto whole = from_pieces(content, channel::HelloPiece::kBytes);
  const auto cut = from_pieces(content, 1 + content.size() % 11);
  ASSERT_EQ(whole != nullptr, cut != nullptr);
  if (whole == nullptr) return;
  EXPECT_EQ(*whole, *cut);
  EXPECT_LE(whole->server_name.size(), 253U);
  for (const char c : whole->server_name) EXPECT_TRUE(c > ' ' && c < 0x7f && c != '"' && c != '\\');
  const std::string print = control::ja4(*whole);
  EXPECT_EQ(print.size(), 36U) << print;
  for (const char c : print) EXPECT_TRUE(c > ' ' && c < 0x7f);
  EXPECT_FALSE(control::version_text(whole->version).empty());
}

}  // namespace sluice::testing
