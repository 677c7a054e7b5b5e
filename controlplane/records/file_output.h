// SPDX-License-Identifier: Apache-2.0
//
// A file of lines. It holds whole lines only: of a batch for which the disk has no room, what fits as whole lines
// stays. Past a size it is renamed to PATH.1, what was that to PATH.2, and so on.
#pragma once

#include "controlplane/base/descriptor.h"
#include "controlplane/records/session_output.h"

namespace sluice::control {

class FileOutput : public LineOutput {
 public:
  /// `rotate_bytes`: 0 = never. `keep`: of renamed files, at least one.
  FileOutput(std::string path, uint64_t rotate_bytes, uint32_t keep)
      : path_(std::move(path)), rotate_bytes_(rotate_bytes), keep_(keep) {}

  Written write_lines(std::string_view lines) override;
  void reopen() override { file_ = Descriptor(); }

 private:
  std::string open_file();
  std::string write_piece(std::string_view lines, Written& out);
  void rotate();

  std::string path_;
  uint64_t rotate_bytes_;
  uint32_t keep_;
  Descriptor file_;
  uint64_t bytes_ = 0;  // in the file
};

}  // namespace sluice::control
