// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <fmt/format.h>

#include <libconfig.h++>

#include "config/findings.h"
#include "config/rules.h"
#include "config/settings.h"
#include "config/source.h"

namespace sluice::config {

namespace {

// libconfig's words, with what it does not say.
std::string syntax_message(const std::string& error) {
  if (error == "syntax error")
    return "syntax error here or just before; allowed: NAME = VALUE; NAME: { ... }; NAME = ( {...}, {...} ); with text "
           "in quotes and no comma after the last element";
  if (error == "mismatched element type in array") return "an array holds values of one type; allowed: all of one type";
  return error + "; allowed: the syntax of libconfig";
}

std::expected<Config, std::vector<Fault>> load_source(const std::expected<Source, std::vector<Fault>>& source) {
  if (!source) return std::unexpected(source.error());
  Findings findings(*source);
  libconfig::Config file;
  try {
    file.readString(source->text());
  } catch (const libconfig::ParseException& error) {
    findings.add_at(static_cast<unsigned>(error.getLine()), syntax_message(error.getError()));
    return std::unexpected(findings.faults());
  }
  Config config;
  read_group(Value{file.getRoot(), "", findings}, settings(), config);
  fill_in(config, findings);
  check_rules(config, findings);
  auto faults = findings.faults();
  if (!faults.empty()) return std::unexpected(std::move(faults));
  return config;
}

}  // namespace

std::expected<Config, std::vector<Fault>> load(const std::string& path) {
  return load_source(Source::read(path));
}

std::expected<Config, std::vector<Fault>> load_text(const std::string& path, const std::string& text) {
  return load_source(Source::scan(path, text));
}

}  // namespace sluice::config
