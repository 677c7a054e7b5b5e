// SPDX-License-Identifier: Apache-2.0
#include "config/files.h"

#include <algorithm>
#include <libconfig.h++>

#include "config/file/source.h"

namespace sluice::config {

Files files_of(const std::string& path, const std::string& setting) {
  Files out;
  const auto source = Source::read(path);
  if (!source) return out;
  for (const std::string& file : source->files()) {
    if (std::ranges::find(out.all, file) == out.all.end()) out.all.push_back(file);
  }
  libconfig::Config tree;
  try {
    tree.readString(source->text());
    out.with_setting = source->file_at(tree.lookup(setting).getSourceLine());
  } catch (const libconfig::ConfigException&) {
    return out;  // it is not there, or what is there makes no sense
  }
  return out;
}

}  // namespace sluice::config
