// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/flow_store.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "dataplane/base/runtime_directory.h"
#include "dataplane/base/setup_error.h"

namespace sluice {
namespace {

class FlowStore : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/dev/shm/sluice-flows-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  FlowStoreOptions options(size_t bytes, uint32_t worker = 0) const {
    return {.directory = directory_, .instance = "edge1", .worker = worker, .bytes = bytes, .hugepages = false};
  }

  std::string directory_;
};

TEST_F(FlowStore, AnonymousMemoryIsZeroedAndLargeEnough) {
  FlowStoreOptions anonymous = options(5'000'000);
  anonymous.directory.clear();
  const FlowMemory memory = map_flow_memory(anonymous);
  ASSERT_TRUE(memory.mapping);
  EXPECT_GE(memory.mapping.bytes(), 5'000'000u);
  EXPECT_FALSE(memory.kept);
  EXPECT_EQ(populate(memory), 0);
  EXPECT_EQ(std::to_integer<int>(memory.mapping.data()[4'999'999]), 0);
}

TEST_F(FlowStore, MemoryCanBeReadThroughItsDescriptor) {
  for (const bool with_name : {false, true}) {
    SCOPED_TRACE(with_name);
    FlowStoreOptions chosen = options(3'000'000);
    if (!with_name) chosen.directory.clear();
    const FlowMemory memory = map_flow_memory(chosen);
    std::memcpy(memory.mapping.data() + 2'000'000, "flows", 5);
    const Descriptor reader = reopen_read_only(memory.file);
    const Mapping seen(memory.mapping.bytes(), PROT_READ, MAP_SHARED, reader.get());
    ASSERT_TRUE(seen);
    EXPECT_EQ(std::memcmp(seen.data() + 2'000'000, "flows", 5), 0);
    EXPECT_FALSE(Mapping(memory.mapping.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, reader.get()));
  }
}

TEST_F(FlowStore, FileThatIsReplacedStaysWholeForWhoReadsIt) {
  Mapping seen;
  {
    const FlowMemory memory = map_flow_memory(options(3'000'000));
    std::memcpy(memory.mapping.data() + 2'000'000, "flows", 5);
    seen = Mapping(memory.mapping.bytes(), PROT_READ, MAP_SHARED, reopen_read_only(memory.file).get());
  }
  const FlowMemory memory = map_flow_memory(options(30'000'000));
  EXPECT_EQ(std::memcmp(seen.data() + 2'000'000, "flows", 5), 0) << "reading it would have been a bus error";
}

TEST_F(FlowStore, FileOfTheRightSizeIsKeptAsItIs) {
  {
    const FlowMemory memory = map_flow_memory(options(3'000'000));
    EXPECT_FALSE(memory.kept);
    ASSERT_EQ(populate(memory), 0);
    std::memcpy(memory.mapping.data() + 1234, "flows", 5);
  }
  const FlowMemory memory = map_flow_memory(options(3'000'000));
  EXPECT_TRUE(memory.kept);
  EXPECT_EQ(std::memcmp(memory.mapping.data() + 1234, "flows", 5), 0);
  EXPECT_EQ(memory.where, directory_ + "/edge1-worker-0.flows");
}

TEST_F(FlowStore, FileOfAnotherSizeIsReplacedByZeroes) {
  {
    const FlowMemory memory = map_flow_memory(options(3'000'000));
    std::memcpy(memory.mapping.data(), "flows", 5);
  }
  const FlowMemory memory = map_flow_memory(options(30'000'000));
  EXPECT_FALSE(memory.kept);
  EXPECT_GE(memory.mapping.bytes(), 30'000'000u);
  EXPECT_EQ(std::to_integer<int>(memory.mapping.data()[0]), 0);
}

TEST_F(FlowStore, FileInUseIsRefused) {
  const FlowMemory memory = map_flow_memory(options(3'000'000));
  EXPECT_THROW(map_flow_memory(options(3'000'000)), SetupError);
}

TEST_F(FlowStore, MissingDirectoryIsRefusedWithWhatIsAllowed) {
  FlowStoreOptions missing = options(3'000'000);
  missing.directory = directory_ + "/missing";
  try {
    map_flow_memory(missing);
    FAIL() << "not refused";
  } catch (const SetupError& error) {
    EXPECT_NE(std::string(error.what()).find("/dev/hugepages"), std::string::npos) << error.what();
  }
}

TEST_F(FlowStore, FilesOfWorkersThatAreGoneAreRemoved) {
  for (uint32_t worker = 0; worker < 3; worker++) map_flow_memory(options(3'000'000, worker));
  remove_flow_files(directory_, "edge1", 1);
  EXPECT_TRUE(std::filesystem::exists(flow_file(options(0, 0))));
  EXPECT_FALSE(std::filesystem::exists(flow_file(options(0, 1))));
  EXPECT_FALSE(std::filesystem::exists(flow_file(options(0, 2))));
}

TEST_F(FlowStore, RuntimeDirectoryIsClaimedByOneAtATime) {
  const std::string runtime = directory_ + "/run/edge1";
  {
    const Descriptor claim = claim_runtime_directory(runtime);
    EXPECT_THROW(claim_runtime_directory(runtime), SetupError);
  }
  EXPECT_TRUE(claim_runtime_directory(runtime));
}

}  // namespace
}  // namespace sluice
