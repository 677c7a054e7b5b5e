// SPDX-License-Identifier: Apache-2.0
//
// What a command of sluicectl is: its words and options as data, and a function that runs it. The command line, the
// help, completion and man pages are made from that data. A command's file includes no parser.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "controlplane/ctl/client.h"

namespace sluice::ctl {

/// A word after the command's name.
struct Argument {
  std::string name;  // "BACKEND"
  std::string help;
  bool required = true;
  bool many = false;  // one or more (none or more, if not required); only the last
};

/// "--name VALUE", or a flag if it has no value.
struct Option {
  std::string name;   // "limit"
  std::string value;  // "N"; "" = a flag
  std::string help;
  bool many = false;  // takes one value or more
};

/// A command line taken apart, and where to write.
class Invocation {
 public:
  using Values = std::map<std::string, std::vector<std::string>>;  // by name of argument or option; a flag has no value

  Invocation(std::ostream& out, std::function<std::expected<std::string, Failure>()> socket, Values values)
      : out_(out), socket_(std::move(socket)), values_(std::move(values)) {}

  bool json = false;      // --json: the API's answer instead of a view of it
  bool colours = false;   // `out()` is a terminal that takes them
  bool terminal = false;  // `out()` is a terminal

  /// Puts a question that is answered with yes or no; empty where nobody is there to answer it.
  std::function<bool(const std::string& question)> ask;

  /// Where what was asked for goes.
  std::ostream& out() const { return out_; }
  /// To the instance that --socket or --config name, or the only one that runs here.
  std::expected<Client, Failure> client() const;

  bool has(const std::string& name) const { return values_.contains(name); }
  /// The value of an argument or option, "" if it is not there.
  std::string text(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  /// A whole number, or `otherwise` if it is not there. The error says what is allowed.
  std::expected<uint64_t, Failure> number(const std::string& name, uint64_t otherwise, uint64_t least,
                                          uint64_t most) const;
  /// "90", "90s", "10m", "2h", "1d" in seconds, or `otherwise` if it is not there.
  std::expected<uint64_t, Failure> seconds(const std::string& name, uint64_t otherwise, uint64_t most) const;

 private:
  std::ostream& out_;
  std::function<std::expected<std::string, Failure>()> socket_;
  Values values_;
};

using Outcome = std::expected<void, Failure>;

struct Command {
  std::string name;
  std::string help;  // one line
  std::vector<Argument> arguments;
  std::vector<Option> options;  // besides --json, which every command has
  std::function<Outcome(const Invocation&)> run;
};

/// Writes the API's answer at `path`: with --json as it is, otherwise by `view`.
Outcome show(const Invocation& invocation, const std::string& path,
             const std::function<std::string(const nlohmann::json&)>& view);

/// Writes `answer`: with --json as it is, otherwise by `view`. A Failure where `view` finds another form than it knows.
Outcome show_answer(const Invocation& invocation, const nlohmann::json& answer,
                    const std::function<std::string(const nlohmann::json&)>& view);

}  // namespace sluice::ctl
