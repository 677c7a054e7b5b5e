// SPDX-License-Identifier: Apache-2.0
//
// The pass over a file's characters that fills a `Source`: follows includes, drops comments, pairs brackets,
// watches for names that stand twice, and marks integers that need 64 bits. One use per Source.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/file/source.h"

namespace sluice::config {

/// The bytes of the file at `path`, at most `kMaxTextBytes`; or why not, as the system words it.
std::expected<std::string, std::string> read_bytes(const std::string& path);

class Scanner {
 public:
  explicit Scanner(Source& source) : out_(source) {}

  /// Takes the top file, then says what is still open.
  void run(const std::string& path, std::string_view bytes);

  /// Whether something was met after which the text makes no sense to libconfig.
  bool broken() const { return broken_; }

 private:
  struct Scope {
    char open;
    unsigned line;                          // of the text
    std::map<std::string, unsigned> names;  // of a group: name to line
  };

  // Where in a file the pass stands.
  struct Cursor {
    size_t file;
    std::string_view bytes;
    size_t position = 0;

    bool done() const { return position >= bytes.size(); }
    char peek(size_t ahead = 0) const { return position + ahead < bytes.size() ? bytes[position + ahead] : '\0'; }
    bool starts_with(std::string_view text) const { return bytes.substr(position).starts_with(text); }
  };

  void scan_file(const std::string& path, std::string_view bytes);
  void scan_token(Cursor& at);
  bool scan_include(Cursor& at);
  void include(Cursor& at, const std::string& name);
  void scan_line_comment(Cursor& at);
  void scan_block_comment(Cursor& at);
  void scan_string(Cursor& at);
  bool text_may_stand_here() const;
  void scan_word(Cursor& at);
  void scan_number(Cursor& at);
  void refuse_control(char c);
  void open(char bracket);
  void close(char bracket);

  void put(char c);
  void put(std::string_view text);
  unsigned line() const { return static_cast<unsigned>(out_.lines_.size()); }
  void note(unsigned text_line, std::string message) { out_.faults_.emplace(text_line, std::move(message)); }
  void break_at(unsigned text_line, std::string message);

  Source& out_;
  std::vector<Scope> scopes_{{'{', 1, {}}};
  std::vector<std::string> chain_;  // files being read, outermost first
  unsigned includes_ = 0;
  bool broken_ = false;
};

}  // namespace sluice::config
