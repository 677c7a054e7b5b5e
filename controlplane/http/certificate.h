// SPDX-License-Identifier: Apache-2.0
//
// The certificate that the server shows. When its files are replaced, the next connection gets the new one; files that
// are not sound are told, and the last good ones stay in use.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/base/tls_files.h"
#include "controlplane/base/watched_file.h"

namespace sluice::control {

class Certificate {
 public:
  using Tell = std::function<void(const std::string& fault)>;  // "" = it is sound again

  /// Throws std::runtime_error if the files are not sound.
  Certificate(config::HttpTls files, Tell tell);

  /// For a connection that begins now. Never null.
  std::shared_ptr<boost::asio::ssl::context> current();

 private:
  using Stamps = std::array<std::optional<FileStamp>, 3>;

  Stamps stamps() const;

  config::HttpTls files_;
  Tell tell_;
  Stamps read_;  // what the files were when they were read last
  std::string fault_;
  std::shared_ptr<boost::asio::ssl::context> context_;
};

}  // namespace sluice::control
