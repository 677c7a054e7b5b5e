// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "config/load.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {
namespace {

constexpr const char* kPath = "/nowhere/sluice.cfg";  // what it includes is not there either
constexpr size_t kLongestFault = 4096;

bool leaves_its_directory(const std::string& text) {
  return text.find("@include") != std::string::npos &&
         (text.find("\"/") != std::string::npos || text.find("..") != std::string::npos);
}

bool is_printable(const std::string& text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

void play_config(FuzzInput bytes) {
  const std::string text = text_of(bytes);
  if (leaves_its_directory(text)) return;
  const auto loaded = config::load_text(kPath, text);
  const auto again = config::load_text(kPath, text);
  EXPECT_EQ(loaded.has_value(), again.has_value());
  if (loaded) {
    EXPECT_TRUE(loaded->dataplane == again->dataplane && loaded->checks == again->checks &&
                loaded->pools == again->pools && loaded->services == again->services &&
                loaded->sources == again->sources);
    return;
  }
  EXPECT_EQ(loaded.error(), again.error());
  EXPECT_FALSE(loaded.error().empty());
  const size_t lines = static_cast<size_t>(std::ranges::count(text, '\n')) + 1;
  for (const config::Fault& fault : loaded.error()) {
    EXPECT_TRUE(is_printable(fault.to_string())) << fault.to_string();
    EXPECT_LE(fault.to_string().size(), kLongestFault);
    EXPECT_LE(fault.line, lines);
  }
}

}  // namespace sluice::testing
