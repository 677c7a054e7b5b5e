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
  FileDigests digests() const { return of("edge.cfg"); }
  FileDigests of(const std::string& name) const {
    const std::string path = directory_.file(name);
    return file_digests(path, config::files_of(path, "fleet.node"));
  }

  StateDirectory directory_;
};

TEST_F(FileDigestsTest, AreOfAllFilesButTheNodesOwn) {
  directory_.write("region.cfg", "pools = ( { name = \"edge1\"; } ); # node = \"edge1\";\n");
  const FileDigests found = digests();
  EXPECT_EQ(found.included.size(), 1U);
  EXPECT_TRUE(found.included.contains("region.cfg"));
  EXPECT_EQ(found.own, "node.cfg") << "where its name is set, wherever else it stands";
  directory_.write("node.cfg", "fleet: { zone = \"edge1\"; };\n");
  EXPECT_EQ(digests().included.size(), 2U);
  EXPECT_EQ(digests().own, "");
}

TEST_F(FileDigestsTest, ChangeWithTheirFileAlone) {
  const FileDigests before = digests();
  directory_.write("region.cfg", "pools = ( );\n");
  const FileDigests after = digests();
  EXPECT_EQ(after.file, before.file);
  EXPECT_NE(after.included.at("region.cfg"), before.included.at("region.cfg"));
  directory_.write("node.cfg", "fleet: { node = \"edge1\"; };\n");
  EXPECT_EQ(digests().included, after.included);
}

TEST_F(FileDigestsTest, OfFilesInOneFileAreFoundInside) {
  directory_.write("node.cfg", "fleet:\n{\n  node = \"edge1\";\n  @include \"etcd.cfg\"\n};\n");
  EXPECT_TRUE(digests().included.contains("etcd.cfg"));
}

TEST_F(FileDigestsTest, OfWhatCannotBeReadAreNone) {
  const FileDigests found = of("nothing.cfg");
  EXPECT_EQ(found.file, "");
  EXPECT_TRUE(found.included.empty());
}

}  // namespace
}  // namespace sluice::control
