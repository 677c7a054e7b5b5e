// SPDX-License-Identifier: Apache-2.0
//
// Asks control's API over its Unix socket. Blocking, with a time limit on the whole of it.
#pragma once

#include <chrono>
#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

/// How sluicectl ends, for scripts.
enum class Exit : int {
  kOk = 0,
  kFailed = 1,       // control refused, or could not do it
  kUsage = 2,        // the command line is wrong
  kUnreachable = 3,  // control does not answer
  kUnknown = 4,      // there is no backend, pool or service of that name
  kUnfinished = 5,   // what was waited for did not come about in time
};

struct Failure {
  Exit exit = Exit::kFailed;
  std::string text;
  unsigned status = 0;  // of control's answer over HTTP; 0: there was none
};

/// The one control socket under `directory` (DIRECTORY/INSTANCE/control.sock).
std::expected<std::string, Failure> find_socket(const std::string& directory);

/// Speaks to the control process that listens on a socket; a connection for each request. `path` is what the API's
/// routes say ("/api/v1/status"), with names put through `path_segment`.
class Client {
 public:
  using Answer = std::expected<nlohmann::json, Failure>;

  static constexpr std::chrono::seconds kPatience{10};

  explicit Client(std::string socket) : socket_(std::move(socket)) {}

  /// `patience`: how long control may take, for requests that it answers late.
  Answer get(const std::string& path, std::chrono::milliseconds patience = kPatience) const;
  /// The answer as it is, for what is no JSON.
  std::expected<std::string, Failure> get_text(const std::string& path) const;
  Answer post(const std::string& path, const nlohmann::json& body,
              std::chrono::milliseconds patience = kPatience) const;
  Answer put(const std::string& path, const nlohmann::json& body) const;
  Answer remove(const std::string& path) const;

 private:
  std::string socket_;
};

/// `name` as one segment of a path: what a URL does not take, as %XX.
std::string path_segment(const std::string& name);

}  // namespace sluice::ctl
