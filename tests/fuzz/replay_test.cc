// SPDX-License-Identifier: Apache-2.0
//
// What the fuzzer has found worth keeping, crashes that have been fixed among them, played once more.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/worker_input.h"

namespace sluice::testing {
namespace {

std::filesystem::path corpus;  // the program's argument

TEST(FuzzCorpus, IsPlayedWithoutAFault) {
  size_t played = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    SCOPED_TRACE(entry.path().filename().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    play_input(bytes);
    played++;
  }
  EXPECT_GT(played, 10u) << corpus;
}

}  // namespace
}  // namespace sluice::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc == 2) sluice::testing::corpus = argv[1];
  return RUN_ALL_TESTS();
}
