// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "dataplane/base/setup_error.h"

namespace sluice::testing {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  void write(size_t bytes, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::binary) << std::string(bytes, 'k');
    chmod(path_.c_str(), mode);
  }
  std::string fault() {
    try {
      read_key_file(path_);
    } catch (const SetupError& error) {
      return error.what();
    }
    return "";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  const std::string path_ = ::testing::TempDir() + "fleet.key." + std::to_string(getpid());
};

TEST_F(KeyFile, IsTakenAsItIs) {
  for (const size_t bytes : {kLeastKeyBytes, kMostKeyBytes}) {
    write(bytes);
    EXPECT_EQ(read_key_file(path_).size(), bytes);
  }
  write(40, 0640);
  EXPECT_EQ(fault(), "");
}

TEST_F(KeyFile, ThatIsMissingShortLongOrOpenToOthersIsRefused) {
  const std::string start = "fleet.peers.key_file " + path_ + ": ";
  EXPECT_EQ(fault(), start + "No such file or directory");
  write(31);
  EXPECT_EQ(fault(), start + "holds 31 bytes; allowed: 32 to 4096");
  write(5000);
  EXPECT_EQ(fault(), start + "holds more than 4096 bytes; allowed: 32 to 4096");
  for (const mode_t mode : {0644, 0660, 0601}) {
    write(40, mode);
    EXPECT_TRUE(fault().starts_with(start + "has mode 0")) << fault();
  }
}

}  // namespace
}  // namespace sluice::testing
