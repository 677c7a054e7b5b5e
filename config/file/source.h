// SPDX-License-Identifier: Apache-2.0
//
// A configuration file with everything it includes, as one text for libconfig, and where each line of that
// text comes from. libconfig alone ends the process when an @include names a directory, wraps integers beyond
// 32 bits around, takes a comment that never ends, and stops at the first name that stands twice;
// what passes through here does none of that.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/file/fault.h"

namespace sluice::config {

class Source {
 public:
  /// Reads `path`. Faults: what cannot be read, and brackets, strings or comments that do not close.
  static std::expected<Source, std::vector<Fault>> read(const std::string& path);

  /// The same of `bytes`, as if `path` held them.
  static std::expected<Source, std::vector<Fault>> scan(const std::string& path, std::string_view bytes);

  /// For libconfig: comments and includes resolved, wide integers marked as such. A name that stands
  /// twice in its group carries a '*' the second time (no name of ours has one) and is in `faults()`.
  const std::string& text() const { return text_; }

  /// What was found on the way that does not keep libconfig from reading the text.
  const std::multimap<unsigned, std::string>& faults() const { return faults_; }

  /// The file that was read, and those that it includes, each as often as it is included, as they are come upon.
  const std::vector<std::string>& files() const { return files_; }
  /// Of these, the one that a line of `text()` stands in.
  const std::string& file_at(unsigned text_line) const { return files_[origin(text_line).file]; }

  /// A fault at a line of `text()`, from 1 (lines beyond are the nearest one).
  Fault fault_at(unsigned text_line, std::string message) const;

  /// How an operator would call a line of `text()`: "line 12", or "other.cfg:12" seen from another file.
  std::string name_line(unsigned text_line, unsigned seen_from) const;

 private:
  friend class Scanner;
  struct Origin {
    size_t file;  // of files_
    unsigned line;
  };
  const Origin& origin(unsigned text_line) const;

  std::string text_;
  std::vector<std::string> files_;
  std::vector<Origin> lines_;                    // lines_[n] = where line n + 1 of text_ stands
  std::multimap<unsigned, std::string> faults_;  // by line of text_, then as found
};

}  // namespace sluice::config
