// SPDX-License-Identifier: Apache-2.0
//
// sluicectl: the operator's command.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "config/load.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/status_view.h"

namespace {

using sluice::ctl::Exit;
using sluice::ctl::Failure;

struct Options {
  std::string config;
  std::string socket;
  bool json = false;
};

std::expected<std::string, Failure> socket_of(const Options& options) {
  if (!options.socket.empty()) return options.socket;
  if (options.config.empty()) {
    const char* directory = std::getenv("SLUICE_RUNTIME_DIR");
    return sluice::ctl::find_socket(directory != nullptr ? directory : "/run/sluice");
  }
  const auto config = sluice::config::load(options.config);
  if (config) return config->control.api;
  Failure failure{Exit::kUsage, ""};
  for (const auto& fault : config.error()) failure.text += (failure.text.empty() ? "" : "\n") + fault.to_string();
  return std::unexpected(failure);
}

std::expected<std::string, Failure> status(const Options& options) {
  const auto socket = socket_of(options);
  if (!socket) return std::unexpected(socket.error());
  const auto answer = sluice::ctl::get(*socket, "/api/v1/status");
  if (!answer) return std::unexpected(answer.error());
  if (options.json) return answer->dump(2) + "\n";
  try {
    return sluice::ctl::view_of_status(*answer, isatty(STDOUT_FILENO) != 0);
  } catch (const nlohmann::json::exception&) {
    return std::unexpected(Failure{
        Exit::kFailed, "control's answer has another form than this sluicectl knows; use the one of its version"});
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Looks after a running Sluice.\n"
      "Exit code: 0 all right, 1 the request failed, 2 wrong usage, 3 control cannot be reached.",
      "sluicectl");
  Options options;
  auto* config =
      app.add_option("--config", options.config, "Find the instance by its configuration file")->type_name("FILE");
  app.add_option("--socket", options.socket, "Control's socket (default: the only one under /run/sluice)")
      ->type_name("PATH")
      ->excludes(config);
  app.set_version_flag("--version", "sluicectl " SLUICE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  CLI::App* show = app.add_subcommand("status", "Services, pools, backends, counters");
  show->add_flag("--json", options.json, "The API's answer as it is");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  }
  const auto text = status(options);
  if (!text) {
    std::fprintf(stderr, "sluicectl: %s\n", text.error().text.c_str());
    return static_cast<int>(text.error().exit);
  }
  std::fputs(text->c_str(), stdout);
  return static_cast<int>(std::fflush(stdout) == 0 ? Exit::kOk : Exit::kFailed);
}
