// SPDX-License-Identifier: Apache-2.0
//
// What looks odd in a file, and is right.
#include "tests/config/cases.h"

namespace sluice::config {
namespace {

TEST(Faults, AreNoneForWhatLooksOddButIsRight) {
  const std::pair<const char*, const char*> right[] = {
      {"dataplane", "workers = 2.0; lcores = \"\";"},
      {"dataplane", "workers = 2; lcores = \"1-3,7\";"},
      {"dataplane", "timers: { established = 30; force = true; };"},
      {"dataplane", "flow_capacity = 67108864L; memory_mb = 0x400;"},
      {"check", "interval = 5.0; fast_interval = 5;"},
      {"check", "interval = 0.5;"},
      {"check", R"(expect = "^220[ -].*ESMTP"; reject = "maintenance";)"},
      {"backend", "weight = 0; port = 10025;"},
      {"backends", R"(, { name = "mta2"; address = "10.0.1.10"; port = 26; })"},
      {"control", R"(http = ""; api = "/run/other.sock";)"},
      {"control", R"(http = "[::1]:9125";)"},
      {"pool", "min_healthy = 1;"},
      {"service", "table_size = 3;"},
      {"services", R"(, { name = "submission"; vip = "192.0.2.25"; port = 587; pool = "mta"; })"},
      {"pools", R"(, { name = "spare"; backends = ( { name = "mta1"; address = "2001:db8::1"; } ); })"},
      {"ports",
       R"({ name = "a"; device = "3b:00.0,representor=0"; }, { name = "b"; device = "3b:00.0,representor=1"; })"},
      {"top", "// the end"},
  };
  for (const auto& [part, text] : right) {
    SCOPED_TRACE(std::string(part) + " = " + text);
    EXPECT_EQ(faults_of(file_with(part, text)), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace sluice::config
