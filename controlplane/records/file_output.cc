// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/file_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sluice::control {

namespace {

constexpr size_t kPieceBytes = 1 << 16;

/// From newline to newline by memchr(), which takes many bytes at a time.
uint64_t count_lines(std::string_view lines) {
  uint64_t count = 0;
  for (size_t at = lines.find('\n'); at != std::string_view::npos; at = lines.find('\n', at + 1)) count++;
  return count;
}

/// The first whole lines of `lines`: some `kPieceBytes`, or one line that is longer.
std::string_view first_piece(std::string_view lines) {
  if (lines.size() <= kPieceBytes) return lines;
  const size_t before = lines.rfind('\n', kPieceBytes - 1);
  return lines.substr(0, before != std::string_view::npos ? before + 1 : lines.find('\n') + 1);
}

}  // namespace

std::string FileOutput::open_file() {
  file_ = Descriptor(open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640));
  struct stat now{};
  if (!file_ || fstat(file_.get(), &now) != 0) return fmt::format("{}: {}", path_, std::strerror(errno));
  bytes_ = static_cast<uint64_t>(now.st_size);
  return "";
}

Written FileOutput::write_lines(std::string_view lines) {
  Written out;
  if (!file_) out.fault = open_file();
  while (!lines.empty() && out.fault.empty()) {
    const std::string_view piece = first_piece(lines);
    if (rotate_bytes_ != 0 && bytes_ != 0 && bytes_ + piece.size() > rotate_bytes_) {
      rotate();
      out.fault = open_file();
      if (!out.fault.empty()) break;
    }
    out.fault = write_piece(piece, out);
    lines.remove_prefix(piece.size());
  }
  out.lost += count_lines(lines);
  return out;
}

/// Writes whole lines, or of them those that fit.
std::string FileOutput::write_piece(std::string_view lines, Written& out) {
  size_t done = 0;
  int error = 0;
  while (done < lines.size() && error == 0) {
    const ssize_t n = ::write(file_.get(), lines.data() + done, lines.size() - done);
    if (n > 0) done += static_cast<size_t>(n);
    if (n < 0 && errno != EINTR) error = errno;
    if (n == 0) error = ENOSPC;
  }
  const size_t end = done == 0 ? std::string_view::npos : lines.rfind('\n', done - 1);
  const size_t whole = end == std::string_view::npos ? 0 : end + 1;
  if (whole < done && ftruncate(file_.get(), static_cast<off_t>(bytes_ + whole)) != 0) {
    error = errno;  // a torn line stays
  }
  bytes_ += whole;
  const uint64_t written = count_lines(lines.substr(0, whole));
  out.records += written;
  out.lost += count_lines(lines) - written;
  return error == 0 ? "" : fmt::format("{}: {}", path_, std::strerror(error));
}

void FileOutput::rotate() {
  file_ = Descriptor();
  const auto name = [&](uint32_t n) { return fmt::format("{}.{}", path_, n); };
  for (uint32_t n = keep_; n > 1; n--) (void)std::rename(name(n - 1).c_str(), name(n).c_str());
  (void)std::rename(path_.c_str(), name(1).c_str());
}

}  // namespace sluice::control
