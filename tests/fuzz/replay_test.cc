// SPDX-License-Identifier: Apache-2.0
//
// What the fuzzer has found worth keeping, crashes that have been fixed among them, played once more.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/inputs.h"

namespace sluice::testing {
namespace {

std::filesystem::path directory;  // of the corpora: the program's argument

struct Target {
  const char* name;
  void (*play)(FuzzInput);
};

class FuzzCorpus : public ::testing::TestWithParam<Target> {};

TEST_P(FuzzCorpus, IsPlayedWithoutAFault) {
  const std::filesystem::path corpus = directory / GetParam().name;
  size_t played = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    SCOPED_TRACE(entry.path().filename().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    GetParam().play(bytes);
    played++;
  }
  EXPECT_GT(played, 10u) << corpus;
}

INSTANTIATE_TEST_SUITE_P(Of, FuzzCorpus,
                         ::testing::Values(Target{"adoption", play_adoption}, Target{"client_hello", play_client_hello},
                                           Target{"config", play_config}, Target{"dialogue", play_dialogue},
                                           Target{"discovery", play_discovery}, Target{"etcd", play_etcd},
                                           Target{"haproxy", play_haproxy}, Target{"http", play_http},
                                           Target{"keepalived", play_keepalived}, Target{"peers", play_peers},
                                           Target{"probe", play_probe}, Target{"security", play_security},
                                           Target{"state", play_state}, Target{"stations", play_stations},
                                           Target{"syn_proxy", play_syn_proxy}, Target{"wishes", play_wishes},
                                           Target{"worker", play_worker}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace sluice::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc == 2) sluice::testing::directory = argv[1];
  return RUN_ALL_TESTS();
}
