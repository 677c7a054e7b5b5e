// SPDX-License-Identifier: Apache-2.0
//
// What is refused of a whole file: a fault brings no others along, and what is missing is said.
#include "tests/config/cases.h"

namespace sluice::config {
namespace {

TEST(Faults, AreNotFollowedByOthersThatTheyCause) {
  // A service that refers to a pool with a faulty name, and a backend whose port is unknown.
  const std::vector<std::string> wanted{
      "1: pools[0].name: \"m t\" has a character that names may not have; allowed: 1 to 63 letters, digits, '.', '_' "
      "or '-', "
      "of which the first is a letter or digit",
      "2: pools[0].backends[0].port: 0 is out of range; allowed: 1 to 65535",
  };
  EXPECT_EQ(
      faults_of(
          "pools = ( { name = \"m t\"; backends = (\n"
          "{ name = \"a\"; address = \"10.0.0.1\"; port = 0; }, { name = \"b\"; address = \"10.0.0.1\"; } ); } );\n"
          "services = ( { name = \"s\"; vip = \"192.0.2.1\"; pool = \"m t\"; } );\n"
          "dataplane: { ports = ( { name = \"w\"; device = \"net_tap0\"; } ); };\n"),
      wanted);
}

TEST(Faults, SayWhatAnEmptyFileLacks) {
  const std::vector<std::string> wanted{"1: dataplane.ports: no port is defined; allowed: 1 to 16",
                                        "1: pools: no pool is defined; allowed: at least one",
                                        "1: services: no service is defined; allowed: at least one"};
  EXPECT_EQ(faults_of(""), wanted);
  EXPECT_EQ(faults_of("// nothing\n\n"), wanted);
}

}  // namespace
}  // namespace sluice::config
