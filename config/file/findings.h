// SPDX-License-Identifier: Apache-2.0
//
// What is known of a file while it is read: on which line each setting stands, and what is wrong so far.
// Settings are named by their path: "dataplane.timers.established", "pools[0].backends[2].weight".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/file/files.h"
#include "config/file/source.h"

namespace sluice::config {

class Findings {
 public:
  explicit Findings(Source source);

  /// The setting `path` stands on `line` of the source's text.
  void saw(const std::string& path, unsigned line);
  /// Something is wrong at `path`; where that is not in the file, at what encloses it. "" is the whole file.
  void add(std::string_view path, std::string_view message);
  /// What stands at `path` is taken, and is most likely a mistake.
  void warn(std::string_view path, std::string_view message);
  /// Something is wrong on a line of the text.
  void add_at(unsigned line, std::string message) { faults_.emplace(line, std::move(message)); }

  /// Whether `path` is in the file.
  bool given(std::string_view path) const { return seen_.contains(path); }
  /// Whether nothing was found wrong with `path` itself.
  bool sound(std::string_view path) const;
  /// Where `path` stands, as seen from `from`: "line 12"; itself, where none of it stands in a file.
  std::string where(std::string_view path, std::string_view from) const;

  const std::string& text() const { return source_.text(); }
  /// Which files were read, and in which of them the setting stands: "fleet.node".
  Files files(std::string_view setting) const;

  /// All faults, by line of the text.
  std::vector<Fault> faults() const;
  /// Likewise what was warned of.
  std::vector<Fault> warnings() const;

 private:
  struct Place {
    unsigned line;
    bool sound = true;
  };
  unsigned line_of(std::string_view path) const;

  Source source_;
  std::map<std::string, Place, std::less<>> seen_;
  std::multimap<unsigned, std::string> faults_;  // by line, then as found
  std::multimap<unsigned, std::string> warnings_;
};

}  // namespace sluice::config
