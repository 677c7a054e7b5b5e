// SPDX-License-Identifier: Apache-2.0
#include "config/file/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "config/bounds.h"
#include "config/file/scanner.h"

namespace sluice::config {

std::expected<std::string, std::string> read_bytes(const std::string& path) {
  const auto failure = [] { return std::unexpected(std::string(std::strerror(errno))); };
  // Not blocking: a FIFO without a writer, or a terminal, would stop whoever reads, control's event loop too.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return failure();
  struct stat info{};
  if (fstat(file, &info) == 0 && !S_ISREG(info.st_mode)) {
    ::close(file);
    return std::unexpected(std::string(S_ISDIR(info.st_mode) ? std::strerror(EISDIR) : "not a regular file"));
  }
  std::string out;
  std::array<char, 65536> chunk;
  ssize_t got = 0;
  while (out.size() <= kMaxTextBytes && (got = ::read(file, chunk.data(), chunk.size())) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    out.append(chunk.data(), static_cast<size_t>(got));
  }
  const auto error = failure();
  ::close(file);
  if (got < 0) return error;
  if (out.size() > kMaxTextBytes) return std::unexpected(std::string("larger than 16 MiB"));
  return out;
}

std::expected<Source, std::vector<Fault>> Source::read(const std::string& path) {
  const auto bytes = read_bytes(path);
  if (!bytes) {
    const char* allowed = "; allowed: the path of a readable configuration file of at most 16 MiB";
    return std::unexpected(std::vector{Fault{path, 0, "cannot be read: " + bytes.error() + allowed}});
  }
  return scan(path, *bytes);
}

std::expected<Source, std::vector<Fault>> Source::scan(const std::string& path, std::string_view bytes) {
  Source out;
  Scanner scanner(out);
  scanner.run(path, bytes);
  if (!scanner.broken()) return out;
  std::vector<Fault> faults;
  faults.reserve(out.faults_.size());
  for (const auto& [line, message] : out.faults_) faults.push_back(out.fault_at(line, message));
  return std::unexpected(std::move(faults));
}

const Source::Origin& Source::origin(unsigned text_line) const {
  return lines_[std::clamp<size_t>(text_line, 1, lines_.size()) - 1];
}

Fault Source::fault_at(unsigned text_line, std::string message) const {
  const Origin& from = origin(text_line);
  // It is shown on a terminal, and a file's bytes are not to speak to that.
  std::ranges::replace_if(message, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
  return {files_[from.file], from.line, std::move(message)};
}

std::string Source::name_line(unsigned text_line, unsigned seen_from) const {
  const Origin& from = origin(text_line);
  if (files_[from.file] == files_[origin(seen_from).file]) return fmt::format("line {}", from.line);
  return fmt::format("{}:{}", files_[from.file], from.line);
}

}  // namespace sluice::config
