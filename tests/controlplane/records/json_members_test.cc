// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/json_members.h"

#include <fmt/chrono.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "tests/support/seed.h"

namespace sluice::control {
namespace {

using nlohmann::json;

/// What is written by `write`.
template <typename Write>
std::string object(Write write) {
  fmt::memory_buffer out;
  out.push_back('{');
  JsonMembers members(out);
  write(members);
  members.close();
  return fmt::to_string(out);
}

TEST(JsonMembers, StandInTheirOrderWithCommasBetween) {
  const std::string out = object([](JsonMembers& members) {
    members.text("a", "b");
    JsonMembers inner = members.object("c");
    inner.number("d", 0);
    inner.number("e", std::numeric_limits<uint64_t>::max());
    inner.close();
    members.object("f").close();
    members.truth("g", true);
    members.truth("h", false);
    members.share("i", 0.5);
  });
  EXPECT_EQ(out, R"({"a":"b","c":{"d":0,"e":18446744073709551615},"f":{},"g":true,"h":false,"i":0.5})");
}

TEST(JsonMembers, HoldAnyBytesAsText) {
  std::string bytes;
  for (int byte = 0; byte < 256; byte++) bytes.push_back(static_cast<char>(byte));
  const json parsed = json::parse(object([&](JsonMembers& members) { members.text("all", bytes); }));
  std::string latin;  // each byte as the character of its number
  for (const char32_t c : std::u32string(bytes.begin(), bytes.end())) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      latin.push_back(static_cast<char>(byte));
    } else {
      latin.push_back(static_cast<char>(0xc0 | byte >> 6));
      latin.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
    }
  }
  EXPECT_EQ(parsed["all"], latin);
}

TEST(JsonMembers, TellTimesAsALibraryDoes) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10'000; i++) {
    const auto ms = static_cast<int64_t>(random() % 253'402'300'800'000);  // before the year 10000
    const std::string wanted =
        fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
    ASSERT_EQ(object([&](JsonMembers& members) { members.time("t", ms); }), "{\"t\":\"" + wanted + "\"}") << ms;
  }
}

}  // namespace
}  // namespace sluice::control
