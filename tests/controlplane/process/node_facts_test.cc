// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/node_facts.h"

#include <gtest/gtest.h>

#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

class FileDigestsTest : public testing::Test {
 protected:
  FileDigestsTest() {
    directory_.write("edge.cfg", "instance = \"edge\";\n@include \"region.cfg\"\n@include \"node.cfg\"\n");
    directory_.write("region.cfg", "pools = ();\n");
    directory_.write("node.cfg", "fleet: { node = \"edge1\"; };\n");
    directory_.write("etcd.cfg", "etcd = { prefix = \"/edge1\"; };\n");
  }
  FileDigests digests(const std::string& node) const { return file_digests(directory_.file("edge.cfg"), node); }

  StateDirectory directory_;
};

TEST_F(FileDigestsTest, AreOfAllFilesButThoseThatNameTheNode) {
  const FileDigests found = digests("edge1");
  EXPECT_EQ(found.included.size(), 1U);
  EXPECT_TRUE(found.included.contains("region.cfg"));
  EXPECT_EQ(digests("edge2").included.size(), 2U) << "that is another one's name";
}

TEST_F(FileDigestsTest, ChangeWithTheirFileAlone) {
  const FileDigests before = digests("edge1");
  directory_.write("region.cfg", "pools = ( );\n");
  const FileDigests after = digests("edge1");
  EXPECT_EQ(after.file, before.file);
  EXPECT_NE(after.included.at("region.cfg"), before.included.at("region.cfg"));
  directory_.write("node.cfg", "fleet: { node = \"edge1\"; };\n");
  EXPECT_EQ(digests("edge1").included, after.included);
}

TEST_F(FileDigestsTest, OfFilesInOneFileAreFoundInside) {
  directory_.write("node.cfg", "fleet:\n{\n  node = \"edge1\";\n  @include \"etcd.cfg\"\n};\n");
  EXPECT_TRUE(digests("edge1").included.contains("etcd.cfg"));
}

TEST_F(FileDigestsTest, OfWhatCannotBeReadAreNone) {
  const FileDigests found = file_digests(directory_.file("nothing.cfg"), "edge1");
  EXPECT_EQ(found.file, "");
  EXPECT_TRUE(found.included.empty());
}

}  // namespace
}  // namespace sluice::control
