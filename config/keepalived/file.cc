// SPDX-License-Identifier: Apache-2.0
#include "config/keepalived/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::config::keepalived {

namespace {

constexpr size_t kMaxDepth = 16;  // blocks within blocks; four are of use

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

/// The words of a line, braces among them, up to its comment. Nothing if a quote does not close.
std::optional<std::vector<std::string>> words_of(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (is_blank(c)) {
      at++;
    } else if (c == '#' || c == '!') {
      break;
    } else if (c == '{' || c == '}') {
      out.emplace_back(1, c);
      at++;
    } else if (c == '"' || c == '\'') {
      const size_t end = text.find(c, at + 1);
      if (end == std::string_view::npos) return std::nullopt;
      out.emplace_back(text.substr(at + 1, end - at - 1));
      at = end + 1;
    } else {
      const size_t end = std::min(text.find_first_of(" \t\r{}#!\"", at), text.size());
      out.emplace_back(text.substr(at, end - at));
      at = end;
    }
  }
  return out;
}

/// Blocks as they open and close.
class Nesting {
 public:
  explicit Nesting(Remarks& remarks) : remarks_(remarks) {}

  void take(unsigned line, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      if (word == "{") {
        open(line);
      } else if (word == "}") {
        end_statement();
        close(line);
      } else {
        // A line that has not been taken yet may still get its brace on this one; words after it begin another.
        if (!statement_.words.empty() && statement_.line != line) end_statement();
        statement_.line = line;
        statement_.words.push_back(word);
      }
    }
  }

  std::vector<Block> finish() {
    end_statement();
    if (!open_.empty()) remarks_.warn(open_.back().line, "its brace does not close");
    while (!open_.empty()) close(0);
    return std::move(top_);
  }

 private:
  void open(unsigned line) {
    if (statement_.words.empty()) {
      remarks_.leave_out(line, "a brace opens behind nothing");
      statement_ = {line, {"{"}, {}};
    }
    if (open_.size() >= kMaxDepth) {
      if (skipped_++ == 0) remarks_.leave_out(line, "more blocks within blocks than are of use");
      statement_ = {};
      return;
    }
    open_.push_back(std::exchange(statement_, {}));
  }
  void end_statement() {
    if (statement_.words.empty()) return;
    (open_.empty() ? top_ : open_.back().inner).push_back(std::exchange(statement_, {}));
  }
  void close(unsigned line) {
    if (skipped_ != 0) {
      skipped_--;
    } else if (open_.empty()) {
      remarks_.leave_out(line, "a brace closes that nothing has opened");
    } else {
      Block done = std::move(open_.back());
      open_.pop_back();
      (open_.empty() ? top_ : open_.back().inner).push_back(std::move(done));
    }
  }

  Remarks& remarks_;
  std::vector<Block> top_, open_;
  Block statement_;
  size_t skipped_ = 0;  // open blocks beyond kMaxDepth
};

/// What keepalived would have put in the place of a line, and we do not know.
std::string why_unknown(const std::vector<std::string>& words) {
  if (words.front() == "include" || words.front() == "includer" || words.front() == "includew")
    return fmt::format("the files of \"{}\" are not read: import them by themselves",
                       words.size() > 1 ? words[1] : "include");
  if (words.front().starts_with('@'))
    return fmt::format("\"{}\" holds for some hosts or configurations alone", words.front());
  for (const std::string& word : words) {
    if (word.starts_with('$') || word.find("${") != std::string::npos)
      return fmt::format("\"{}\" is not known: write what it stands for", word);
  }
  return "";
}

}  // namespace

std::vector<Block> read_blocks(std::string_view text, Remarks& remarks) {
  Nesting nesting(remarks);
  unsigned number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    number++;
    if (!words) {
      remarks.leave_out(number, "a quote does not close");
      continue;
    }
    if (words->empty()) continue;
    const std::string fault = why_unknown(*words);
    if (fault.empty()) {
      nesting.take(number, *words);
      continue;
    }
    remarks.warn(number, fault);
    // Its braces are of the file's structure all the same.
    std::vector<std::string> braces;
    for (const std::string& word : *words) {
      if (word == "{" && braces.empty()) braces.emplace_back("(unknown)");
      if (word == "{" || word == "}") braces.push_back(word);
    }
    nesting.take(number, braces);
  }
  return nesting.finish();
}

}  // namespace sluice::config::keepalived
