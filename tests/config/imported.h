// SPDX-License-Identifier: Apache-2.0
//
// What an import of another program's file comes to, held against what it should: golden files in a directory of
// tests/config, as NAME with NAME.expected beside it, which has the remarks and the result. A deliberate change of the
// output is taken over by SLUICE_UPDATE_GOLDEN=1.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "config/imports/imported.h"
#include "config/load.h"

namespace sluice::config::imports {

inline std::string read_text(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

/// The remarks on the file `name`, a line each.
inline std::vector<std::string> lines_of(const Imported& imported, const std::string& name) {
  std::vector<std::string> out;
  for (const Remark& remark : imported.remarks) out.push_back(remark.to_string(name));
  return out;
}

/// The configuration that a file became. Fails the test if it became none.
inline Config config_of(const Imported& imported) {
  EXPECT_EQ(imported.failure, "");
  auto config = load_text("converted", imported.text);
  EXPECT_TRUE(config) << imported.text;
  return config ? *config : Config{};
}

/// `directory` within tests/config; `import(name, text)`.
template <typename Import>
void expect_golden(const std::string& directory, const std::string& name, Import import) {
  const std::string stem = SLUICE_SOURCE_ROOT "/tests/config/" + directory + "/" + name;
  const Imported imported = import(name, read_text(stem));
  config_of(imported);
  std::string shown;
  for (const std::string& line : lines_of(imported, name)) shown += line + "\n";
  shown += "\n" + imported.text;
  const std::string path = stem.substr(0, stem.rfind('.')) + ".expected";
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << shown;
  EXPECT_EQ(shown, read_text(path));
}

}  // namespace sluice::config::imports
