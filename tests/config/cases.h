// SPDX-License-Identifier: Apache-2.0
//
// Tables of faults: one file that is right, a part of it replaced, and what has to be said then.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "tests/config/file.h"

namespace sluice::config {

// A file that is right. @part@ is what a case replaces; parts without a default are empty.
inline constexpr std::string_view kFile = R"(instance = "@instance@";
dataplane: { ports = ( @ports@ );
  @dataplane@ };
control: { @control@ };
checks: { greet: { type = "banner"; @check@ };
  @checks@ };
pools = ( { name = "mta"; check = "greet"; @pool@ backends = (
    { name = "mta1"; address = "10.0.1.10"; @backend@ }
    @backends@ ); }
  @pools@ );
services = ( { name = "relay"; vip = "@vip@"; pool = "mta"; @service@ }
  @services@ );
@top@
)";

inline const std::map<std::string, std::string> kDefaults{
    {"instance", "test"},
    {"ports", R"({ name = "wire"; device = "net_tap0"; })"},
    {"vip", "192.0.2.25"},
};

inline std::string file_with(const std::string& part, const std::string& text) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t start = kFile.find('@', at);
    out += kFile.substr(at, start == std::string_view::npos ? start : start - at);
    if (start == std::string_view::npos) return out;
    const size_t end = kFile.find('@', start + 1);
    const std::string name(kFile.substr(start + 1, end - start - 1));
    const auto fallback = kDefaults.find(name);
    out += name == part ? text : fallback == kDefaults.end() ? "" : fallback->second;
    at = end + 1;
  }
}

// "LINE: MESSAGE" for each fault.
inline std::vector<std::string> faults_of(const std::string& text) {
  unsetenv("SLUICE_RUNTIME_DIR");
  const Directory directory;
  const std::string path = directory.write("test.cfg", text);
  const auto config = load(path);
  std::vector<std::string> out;
  if (config) return out;
  EXPECT_FALSE(config.error().empty());
  for (const Fault& fault : config.error()) {
    EXPECT_EQ(fault.file, path);
    out.push_back(std::to_string(fault.line) + ": " + fault.message);
  }
  return out;
}

struct Case {
  const char* part;
  const char* text;
  std::vector<std::string> faults;  // "..." at the end of one: and so on
};

// `found` with what follows where `wanted` ends in "..." cut off.
inline std::string cut_like(const std::string& wanted, const std::string& found) {
  const bool open = wanted.ends_with("...");
  return open && found.size() > wanted.size() - 3 ? found.substr(0, wanted.size() - 3) + "..." : found;
}

inline void expect_faults(std::span<const Case> cases) {
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.part) + " = " + each.text);
    std::vector<std::string> found = faults_of(file_with(each.part, each.text));
    for (size_t i = 0; i < std::min(found.size(), each.faults.size()); i++)
      found[i] = cut_like(each.faults[i], found[i]);
    EXPECT_EQ(found, each.faults);
  }
}

}  // namespace sluice::config
