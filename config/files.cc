// SPDX-License-Identifier: Apache-2.0
#include "config/files.h"

#include <algorithm>
#include <libconfig.h++>

#include "config/file/source.h"

namespace sluice::config {

std::vector<std::string> files_of(const std::string& path) {
  const auto source = Source::read(path);
  if (!source) return {};
  std::vector<std::string> out{path};
  const auto lines = static_cast<unsigned>(std::ranges::count(source->text(), '\n'));
  for (unsigned line = 1; line <= lines; line++) {
    std::string file = source->fault_at(line, "").file;
    if (std::ranges::find(out, file) == out.end()) out.push_back(std::move(file));
  }
  return out;
}

std::string file_of(const std::string& path, const std::string& setting) {
  const auto source = Source::read(path);
  if (!source) return "";
  libconfig::Config file;
  try {
    file.readString(source->text());
    return source->fault_at(file.lookup(setting).getSourceLine(), "").file;
  } catch (const libconfig::ConfigException&) {
    return "";
  }
}

}  // namespace sluice::config
