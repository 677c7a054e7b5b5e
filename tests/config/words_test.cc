// SPDX-License-Identifier: Apache-2.0
//
// Suggestions, words of enumerations, lists of cores, primes.
#include <gtest/gtest.h>

#include "config/choices.h"
#include "config/file/suggest.h"
#include "config/schema/lcores.h"
#include "config/schema/rules.h"

namespace sluice::config {
namespace {

TEST(EditDistance, CountsEachKindOfMistakeOnce) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("port", "port"), 0U);
  EXPECT_EQ(edit_distance("", "port"), 4U);
  EXPECT_EQ(edit_distance("prot", "port"), 1U);   // neighbours swapped
  EXPECT_EQ(edit_distance("porrt", "port"), 1U);  // one too many
  EXPECT_EQ(edit_distance("pot", "port"), 1U);    // one left out
  EXPECT_EQ(edit_distance("part", "port"), 1U);   // one wrong
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(Suggestion, IsTheNearestWordOrNone) {
  const std::vector<std::string> words{"workers", "burst", "timers", "warn", "rise"};
  EXPECT_EQ(nearest("wrokers", words), "workers");
  EXPECT_EQ(nearest("TIMERS", words), "timers");
  EXPECT_EQ(nearest("warning", words), "warn");
  EXPECT_EQ(nearest("zebra", words), "");
  EXPECT_EQ(nearest("x", words), "");
  EXPECT_EQ(nearest("", words), "");
  EXPECT_EQ(nearest(std::string(1000, 'w'), words), "");
}

TEST(QuotedList, StopsAtItsLimit) {
  const std::vector<std::string> words{"a", "b", "c"};
  EXPECT_EQ(quoted_list(words), R"("a", "b", "c")");
  EXPECT_EQ(quoted_list(words, 2), R"("a", "b" and 1 more)");
  EXPECT_EQ(quoted_list({}), "none is defined");
}

TEST(Choices, HaveAWordForEachValueThatIsOpen) {
  EXPECT_EQ(name_of(Faces::kBackends), "backends");
  EXPECT_EQ(name_of(CheckType::kBanner), "banner");
  EXPECT_EQ(name_of(OnBackendDown::kKeep), "keep");
  EXPECT_EQ(name_of(LogLevel::kWarn), "warn");
}

TEST(Lcores, AreReadAsDpdkReadsThem) {
  EXPECT_EQ(parse_lcores("1"), (std::vector<unsigned>{1}));
  EXPECT_EQ(parse_lcores("5,1-3"), (std::vector<unsigned>{5, 1, 2, 3}));
  for (const char* text : {"", ",", "1,", "1-", "-1", "2-1", "1,1", "1-3,2", "128", "1 ,2", "0x1", "1-2-3"})
    EXPECT_FALSE(parse_lcores(text)) << text;
}

TEST(NextPrime, IsTheNumberItselfOrTheNext) {
  const std::pair<uint32_t, uint32_t> cases[] = {
      {0, 2}, {2, 2}, {4, 5}, {9, 11}, {25, 29}, {65536, 65537}, {65537, 65537}, {65538, 65539}, {5000000, 5000011}};
  for (const auto& [from, prime] : cases) EXPECT_EQ(next_prime(from), prime) << from;
}

}  // namespace
}  // namespace sluice::config
