// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/reply.h"

namespace sluice::health {

namespace {

constexpr size_t kCodeBytes = 3;

/// Whether `byte` may stand at `position` of a reply line, per `[2-5][0-5][0-9]([ -]text)?`.
bool fits(size_t position, char byte) {
  switch (position) {
    case 0:
      return byte >= '2' && byte <= '5';
    case 1:
      return byte >= '0' && byte <= '5';
    case 2:
      return byte >= '0' && byte <= '9';
    case 3:
      return byte == ' ' || byte == '-';
    default:
      return true;
  }
}

}  // namespace

ReplyParser::Status ReplyParser::read(std::string_view& bytes) {
  if (!fault_.empty()) return Status::kBroken;
  if (complete_) {
    reply_ = {};
    line_begin_ = lines_ = 0;
    complete_ = false;
  }
  while (!bytes.empty()) {
    const char byte = bytes.front();
    bytes.remove_prefix(1);
    if (const Status status = read_byte(byte); status != Status::kMore) return status;
  }
  return Status::kMore;
}

ReplyParser::Status ReplyParser::read_byte(char byte) {
  if (byte == '\n') return end_line();
  if (carriage_return_) {  // it was no line end, so it belongs to the text
    carriage_return_ = false;
    if (const Status status = append('\r'); status != Status::kMore) return status;
  }
  if (byte == '\r') {
    carriage_return_ = true;
    return Status::kMore;
  }
  return append(byte);
}

ReplyParser::Status ReplyParser::append(char byte) {
  const size_t position = reply_.text.size() - line_begin_;
  if (!fits(position, byte)) return broken("not an SMTP reply", byte);
  if (position >= kMaxLineBytes) return broken("a line longer than 4096 bytes", byte);
  if (reply_.text.size() >= kMaxReplyBytes) return broken("a reply longer than 16384 bytes", byte);
  reply_.text += byte;
  return Status::kMore;
}

ReplyParser::Status ReplyParser::end_line() {
  carriage_return_ = false;
  const std::string_view line = std::string_view(reply_.text).substr(line_begin_);
  if (line.size() < kCodeBytes) return broken("not an SMTP reply", '\n');
  lines_++;
  if (line.size() > kCodeBytes && line[kCodeBytes] == '-') {
    if (lines_ >= kMaxReplyLines) return broken("a reply of more than 128 lines", '\n');
    reply_.text += '\n';
    line_begin_ = reply_.text.size();
    return Status::kMore;
  }
  reply_.code = static_cast<uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
  complete_ = true;
  return Status::kComplete;
}

ReplyParser::Status ReplyParser::broken(std::string_view fault, char byte) {
  reply_.text += byte;  // so that an operator sees what it was
  fault_ = fault;
  return Status::kBroken;
}

}  // namespace sluice::health
