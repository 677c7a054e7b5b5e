// SPDX-License-Identifier: Apache-2.0
//
// The files we ship: right, and safe to cut anywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "config/check_command.h"
#include "config/load.h"
#include "config/schema/reference.h"
#include "tests/config/file.h"

namespace sluice::config {
namespace {

const std::filesystem::path kSourceRoot = SLUICE_SOURCE_ROOT;

std::vector<std::filesystem::path> examples() {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(kSourceRoot / "config/examples"))
    if (entry.path().extension() == ".cfg") out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

TEST(Examples, LoadWithoutFaultOrWarning) {
  ASSERT_GE(examples().size(), 3U);
  for (const auto& path : examples()) {
    std::ostringstream out;
    EXPECT_EQ(check_command(path, out), 0) << out.str();
    EXPECT_TRUE(out.str().starts_with(path.string() + ": ok: ")) << out.str();
  }
}

// As docs/regions.md has them laid out on the nodes, with what belongs into /etc/sluice in a directory of ours.
TEST(Examples, OfTwoRegionsAreRightOnEachNode) {
  const std::filesystem::path shipped = kSourceRoot / "config/examples/regions/node";
  for (const std::string region : {"north", "south"}) {
    for (const std::string number : {"1", "2"}) {
      const Directory directory;
      for (const char* name : {"fleet.key", "etcd-ca.pem", "etcd-client.pem", "etcd-client.key", "read.token"}) {
        const std::filesystem::path secret = directory.write(name, std::string(64, 's'));
        std::filesystem::permissions(secret, std::filesystem::perms::owner_read);
      }
      const auto lay = [&](const std::string& from, const std::string& to) {
        std::string text = read_file(shipped / from);
        for (size_t at = 0; (at = text.find("/etc/sluice/", at)) != std::string::npos;)
          text.replace(at, std::string_view("/etc/sluice/").size(), directory.path(""));
        return directory.write(to, text);
      };
      lay("etcd.cfg", "etcd.cfg");
      lay(region + ".cfg", "region.cfg");
      lay(region + number + ".cfg", "node.cfg");
      const std::string path = lay("edge.cfg", "edge.cfg");
      std::ostringstream out;
      EXPECT_EQ(check_command(path, out), 0) << region << number << ": " << out.str();
      EXPECT_TRUE(out.str().starts_with(path + ": ok: ")) << out.str();
    }
  }
}

// Cut short at every byte, and with a byte left out here and there.
TEST(Examples, AreEitherRightOrFaultyWithALineWhereverTheyAreDamaged) {
  const Directory directory;
  size_t refused = 0;
  const auto take = [&](const std::string& text) {
    const auto config = load(directory.write("cut.cfg", text));
    if (config) return;
    refused++;
    ASSERT_FALSE(config.error().empty());
    const auto lines = static_cast<unsigned>(std::ranges::count(text, '\n')) + 1;
    for (const Fault& fault : config.error()) {
      EXPECT_GE(fault.line, 1U) << fault.to_string();
      EXPECT_LE(fault.line, lines) << fault.to_string();
      EXPECT_FALSE(fault.message.empty());
    }
  };
  for (const auto& path : examples()) {
    SCOPED_TRACE(path);
    const std::string whole = read_file(path);
    for (size_t at = 0; at < whole.size(); at++) {
      take(whole.substr(0, at));
      if (at % 7 == 0) take(whole.substr(0, at) + whole.substr(at + 1));
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Reference, IsUpToDate) {
  std::ostringstream out;
  print_reference(out);
  EXPECT_EQ(read_file(kSourceRoot / "config/REFERENCE.md"), out.str()) << "run: ninja -C build update-reference";
}

}  // namespace
}  // namespace sluice::config
