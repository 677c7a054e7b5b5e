// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "config/load.h"

namespace sluice::ctl {

namespace {

constexpr int kMany = CLI::detail::expected_max_vector_size;

struct Common {
  std::string config;
  std::string socket;
  bool json = false;
};

std::expected<std::string, Failure> socket_of(const Common& common) {
  if (!common.socket.empty()) return common.socket;
  if (common.config.empty()) {
    const char* directory = std::getenv("SLUICE_RUNTIME_DIR");
    return find_socket(directory != nullptr ? directory : "/run/sluice");
  }
  const auto config = config::load(common.config);
  if (config) return config->control.api;
  Failure failure{Exit::kUsage, ""};
  for (const auto& fault : config.error()) failure.text += (failure.text.empty() ? "" : "\n") + fault.to_string();
  return std::unexpected(failure);
}

/// Adds `command` to the parser.
CLI::App* add_command(CLI::App& app, const Command& command) {
  CLI::App* out = app.add_subcommand(command.name, command.help);
  for (const Argument& argument : command.arguments) {
    CLI::Option* word = out->add_option(argument.name, argument.help)->required(argument.required)->type_name("");
    word->expected(argument.many ? kMany : 1);
  }
  for (const Option& option : command.options) {
    if (option.value.empty()) {
      out->add_flag("--" + option.name, option.help)->disable_flag_override();
    } else {
      CLI::Option* added = out->add_option("--" + option.name, option.help)->type_name(option.value);
      added->expected(1, option.many ? kMany : 1)->allow_extra_args(option.many);
    }
  }
  return out;
}

/// What the parser found of `command`'s arguments and options.
Invocation::Values values_of(const CLI::App& parsed, const Command& command) {
  Invocation::Values out;
  for (const Argument& argument : command.arguments) {
    const CLI::Option* word = parsed.get_option(argument.name);
    if (word->count() != 0) out[argument.name] = word->results();
  }
  for (const Option& option : command.options) {
    const CLI::Option* given = parsed.get_option("--" + option.name);
    if (given->count() != 0) out[option.name] = option.value.empty() ? std::vector<std::string>{} : given->results();
  }
  return out;
}

bool wants_colours(bool terminal) {
  const char* no_color = std::getenv("NO_COLOR");
  return terminal && (no_color == nullptr || *no_color == '\0');
}

/// What a command throws comes from an answer that is not as it expects.
Outcome run_guarded(const Command& command, const Invocation& invocation) {
  try {
    return command.run(invocation);
  } catch (const std::exception& fault) {
    return std::unexpected(Failure{Exit::kFailed, std::string("unexpected answer: ") + fault.what()});
  }
}

void set_up(CLI::App& app, Common& common) {
  auto* config = app.add_option("--config", common.config, "Find the instance by its configuration file");
  config->type_name("FILE");
  app.add_option("--socket", common.socket, "Control's socket (default: the only one under /run/sluice)")
      ->type_name("PATH")
      ->excludes(config);
  app.add_flag("--json", common.json, "JSON instead of tables");
  app.set_version_flag("--version", "sluicectl " SLUICE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
}

}  // namespace

int run_command_line(const std::vector<Command>& commands, int argc, const char* const* argv, std::ostream& out,
                     std::ostream& complaints, bool terminal, const std::function<bool(const std::string&)>& ask) {
  CLI::App app(
      "Looks after a running Sluice.\n"
      "Exit code: 0 all right, 1 the request failed, 2 wrong usage, 3 control cannot be reached, 4 no such backend, "
      "pool "
      "or service, 5 what was waited for did not come about in time.",
      "sluicectl");
  Common common;
  set_up(app, common);
  std::vector<CLI::App*> parsers;
  parsers.reserve(commands.size());
  for (const Command& command : commands) parsers.push_back(add_command(app, command));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, complaints) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  }
  for (size_t i = 0; i < commands.size(); i++) {
    if (!parsers[i]->parsed()) continue;
    Invocation::Values values = values_of(*parsers[i], commands[i]);
    if (!common.config.empty()) values["config"] = {common.config};
    Invocation invocation(out, [&common] { return socket_of(common); }, std::move(values));
    invocation.json = common.json;
    invocation.terminal = terminal;
    invocation.ask = ask;
    invocation.colours = wants_colours(terminal);
    if (const Outcome outcome = run_guarded(commands[i], invocation); !outcome) {
      complaints << "sluicectl: " << outcome.error().text << '\n';
      return static_cast<int>(outcome.error().exit);
    }
  }
  return static_cast<int>(out.flush() ? Exit::kOk : Exit::kFailed);
}

}  // namespace sluice::ctl
