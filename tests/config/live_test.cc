// SPDX-License-Identifier: Apache-2.0
//
// Settings of what happens while control runs: warm-up schedules, and where state is kept.
#include <gtest/gtest.h>

#include "tests/config/cases.h"

namespace sluice::config {
namespace {

using namespace std::chrono_literals;

Config load_file(const std::string& part, const std::string& text) {
  const auto config = load_text("test.cfg", file_with(part, text));
  if (config) return *config;
  for (const Fault& fault : config.error()) ADD_FAILURE() << fault.to_string();
  return {};
}

TEST(WarmUp, IsReadWithItsCurve) {
  const Config config =
      load_file("backend", R"(warm_up: { start = "2026-12-01"; days = 20; from = 0.05; curve = "exponential"; };)");
  const auto& warm_up = config.pools.at(0).backends.at(0).warm_up;
  ASSERT_TRUE(warm_up);
  EXPECT_EQ(warm_up->start, std::chrono::sys_days(2026y / 12 / 1));
  EXPECT_EQ(warm_up->days, 20u);
  EXPECT_EQ(warm_up->from, 0.05);
  EXPECT_EQ(warm_up->curve, Curve::kExponential);
  EXPECT_TRUE(warm_up->table.empty());
}

TEST(WarmUp, IsReadAsATable) {
  const Config config = load_file("backend", R"(warm_up: { start = "2028-02-29"; table = [ 0.0, 0.25, 1.0 ]; };)");
  const auto& warm_up = config.pools.at(0).backends.at(0).warm_up;
  ASSERT_TRUE(warm_up);
  EXPECT_EQ(warm_up->start, std::chrono::sys_days(2028y / 2 / 29));
  EXPECT_EQ(warm_up->table, (std::vector<double>{0, 0.25, 1}));
}

TEST(WarmUp, IsNothingUnlessGiven) {
  EXPECT_FALSE(load_file("", "").pools.at(0).backends.at(0).warm_up);
}

TEST(WarmUp, RefusesWhatIsNoSchedule) {
  const Case cases[] = {
      {"backend", "warm_up: { };", {"8: pools[0].backends[0].warm_up.start: is missing..."}},
      {"backend",
       R"(warm_up: { start = "1.12.2026"; };)",
       {R"(8: pools[0].backends[0].warm_up.start: "1.12.2026" is no day of the calendar; allowed: a day as YYYY-MM-DD, such as "2026-12-01")"}},
      {"backend",
       R"(warm_up: { start = "2027-02-29"; };)",
       {R"(8: pools[0].backends[0].warm_up.start: "2027-02-29" is no day of the calendar; allowed...)"}},
      {"backend",
       "warm_up: { start = 20261201; };",
       {"8: pools[0].backends[0].warm_up.start: must be a string, not an integer; allowed..."}},
      {"backend",
       R"(warm_up: { start = "2026-12-01"; days = 0; };)",
       {"8: pools[0].backends[0].warm_up.days: 0 is out of range; allowed: 1 to 366 days"}},
      {"backend",
       R"(warm_up: { start = "2026-12-01"; from = 0; };)",
       {"8: pools[0].backends[0].warm_up.from: 0 is out of range; allowed: 0.0001 to 1"}},
      {"backend",
       R"(warm_up: { start = "2026-12-01"; table = [ 0.1, 1.5 ]; };)",
       {"8: pools[0].backends[0].warm_up.table[1]: 1.5 is out of range; allowed: 0 to 1"}},
      {"backend",
       R"(warm_up: { start = "2026-12-01"; table = 0.5; };)",
       {"8: pools[0].backends[0].warm_up.table: must be an array of numbers, not a number with a fraction; "
        "allowed..."}},
      {"backend",
       R"(warm_up: { start = "2026-12-01"; table = [ 0.1 ]; days = 5; };)",
       {"8: pools[0].backends[0].warm_up.days: does not apply here; allowed: only with no `table`"}},
  };
  expect_faults(cases);
}

TEST(StateDirectory, IsTheSettingOrTheEnvironmentsOrVarLib) {
  unsetenv("SLUICE_STATE_DIR");
  EXPECT_EQ(load_file("", "").control.state, "/var/lib/sluice/test");
  EXPECT_EQ(load_file("control", R"(state = "/srv/sluice";)").control.state, "/srv/sluice");
  EXPECT_EQ(load_file("control", R"(state = "";)").control.state, "/var/lib/sluice/test");
  setenv("SLUICE_STATE_DIR", "/srv/lab", 1);
  EXPECT_EQ(load_file("", "").control.state, "/srv/lab/test");
  EXPECT_EQ(load_file("control", R"(state = "/srv/sluice";)").control.state, "/srv/sluice");
  unsetenv("SLUICE_STATE_DIR");
}

TEST(LoadText, NamesTheFileThatTheTextIsSaidToBeFrom) {
  const auto config = load_text("/etc/sluice/new.cfg", "pools = ();\ninstence = \"a\";\n");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().back().to_string().substr(0, 33), "/etc/sluice/new.cfg:2: instence: ");
}

}  // namespace
}  // namespace sluice::config
