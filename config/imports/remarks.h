// SPDX-License-Identifier: Apache-2.0
//
// What an import has to say about single lines of another program's file.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::config::imports {

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
  /// `program`: whose file it is, "HAProxy".
  explicit Remarks(std::string program) : program_(std::move(program)) {}

  void warn(unsigned line, const std::string& text) { add(line, Remark::Kind::kWarning, text); }
  void leave_out(unsigned line, const std::string& text) { add(line, Remark::Kind::kLeftOut, text); }
  void to_do(unsigned line, const std::string& text) { add(line, Remark::Kind::kToDo, text); }

  /// A line that only tunes or logs the program's own connections: it is counted, and told of with all its kind.
  void pass_over() { passed_over_++; }

  /// By line, each once.
  std::vector<Remark> sorted() &&;

 private:
  void add(unsigned line, Remark::Kind kind, const std::string& text);

  std::string program_;
  std::vector<Remark> all_;
  unsigned passed_over_ = 0;
};

}  // namespace sluice::config::imports
