// SPDX-License-Identifier: Apache-2.0
#include "config/file/files.h"

#include <algorithm>
#include <libconfig.h++>

namespace sluice::config {

Files files_of(const Source& source, std::optional<unsigned> line) {
  Files out;
  for (const std::string& file : source.files()) {
    if (std::ranges::find(out.all, file) == out.all.end()) out.all.push_back(file);
  }
  if (line) out.with_setting = source.file_at(*line);
  return out;
}

Files files_of(const std::string& path, const std::string& setting) {
  const auto source = Source::read(path);
  if (!source) return {};
  libconfig::Config tree;
  try {
    tree.readString(source->text());
    return files_of(*source, tree.lookup(setting).getSourceLine());
  } catch (const libconfig::ConfigException&) {
    return files_of(*source, std::nullopt);  // it is not there, or what is there makes no sense
  }
}

}  // namespace sluice::config
