// SPDX-License-Identifier: Apache-2.0
//
// A haproxy.cfg as sections of words: comments, quotes and escapes resolved as HAProxy does (its configuration manual,
// section 2.2); and what the import has to say about single lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config::haproxy {

/// Something to tell the operator about a line of the file.
struct Remark {
  enum class Kind : uint8_t {
    kWarning,  // converted, and wrong or dangerous as it was
    kLeftOut,  // has no place in the result
    kToDo,     // the operator has to fill something in
  };
  unsigned line = 0;  // from 1; 0 = the file as a whole
  Kind kind = Kind::kLeftOut;
  std::string text;

  /// "FILE:LINE: warning: TEXT", without a newline.
  std::string to_string(const std::string& file) const;
  friend bool operator==(const Remark&, const Remark&) = default;
};

/// `text` with a '?' for each byte that is not printable ASCII: fit for comments, terminals and JSON.
std::string printable(std::string text);

/// Remarks in the order in which they were made.
class Remarks {
 public:
  void warn(unsigned line, const std::string& text) { add(line, Remark::Kind::kWarning, text); }
  void leave_out(unsigned line, const std::string& text) { add(line, Remark::Kind::kLeftOut, text); }
  void to_do(unsigned line, const std::string& text) { add(line, Remark::Kind::kToDo, text); }

  /// A line that only tunes or logs HAProxy's own connections: it is counted, and told of with all its kind.
  void pass_over() { passed_over_++; }

  /// By line, each once.
  std::vector<Remark> sorted() &&;

 private:
  void add(unsigned line, Remark::Kind kind, const std::string& text);

  std::vector<Remark> all_;
  unsigned passed_over_ = 0;
};

struct Line {
  unsigned number = 0;             // from 1
  std::vector<std::string> words;  // never empty

  /// The word at `index`, "" beyond the last.
  const std::string& word(size_t index) const;
  bool starts(std::string_view first, std::string_view second) const { return word(0) == first && word(1) == second; }
  /// The words from `first` on, with single spaces.
  std::string rest(size_t first) const;
};

struct Section {
  Line head;  // "listen", its name, what follows
  std::vector<Line> lines;
};

/// Sections in their order. Lines that cannot be read, and those before the first section, are left out with a remark.
std::vector<Section> read_sections(std::string_view text, Remarks& remarks);

}  // namespace sluice::config::haproxy
