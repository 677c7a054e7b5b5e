// SPDX-License-Identifier: Apache-2.0
//
// A directory for a test's files, removed with them at the end.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace sluice::control {

class StateDirectory {
 public:
  /// Within `parent`, or /tmp if that is not there.
  explicit StateDirectory(const std::string& parent = "/tmp") {
    path_ = (std::filesystem::is_directory(parent) ? parent : "/tmp") + "/sluice-state-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no directory at " + path_);
  }
  ~StateDirectory() { std::filesystem::remove_all(path_); }
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(file(name)).rdbuf();
    return out.str();
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(file(name)) << text; }

 private:
  std::string path_;
};

}  // namespace sluice::control
